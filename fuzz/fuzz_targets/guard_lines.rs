//! Lines between the daemon and its relay guard, in both directions.
#![no_main]

use std::fmt::Debug;

use gate::protocol::{Command, Lines, Report, line_of};
use libfuzzer_sys::fuzz_target;
use menshen_fuzz::pieces;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn check<M: DeserializeOwned + Serialize + PartialEq + Debug>(length: usize, stream: &[u8]) {
    let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut lines = Lines::default();
        let messages = pieces.flat_map(|piece| lines.feed::<M>(piece));
        messages
            .map(|m| m.map_err(|e| e.to_string()))
            .collect::<Vec<_>>()
    };
    let whole = read(&mut std::iter::once(stream));
    let cut = read(&mut stream.chunks(length));
    assert_eq!(whole, cut, "the answer depends on how the stream was cut");
    for message in whole.into_iter().flatten() {
        let line = line_of(&message).expect("a message that was read can be written");
        let again: Vec<M> = Lines::default().feed(&line).into_iter().flatten().collect();
        assert_eq!(again, [message]);
    }
}

fuzz_target!(|data: &[u8]| {
    let (length, stream) = pieces(data);
    check::<Command>(length, stream);
    check::<Report>(length, stream);
});
