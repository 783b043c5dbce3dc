//! JPEG pictures from an MJPEG camera's byte stream.
#![no_main]

use libfuzzer_sys::fuzz_target;
use menshen_fuzz::jpeg::{Item, MAX_BYTES, Splitter};
use menshen_fuzz::pieces;

fuzz_target!(|data: &[u8]| {
    let (length, stream) = pieces(data);
    let (mut whole, mut cut) = (Vec::new(), Vec::new());
    Splitter::new().push(stream, |item| whole.push(item));
    let mut splitter = Splitter::new();
    for piece in stream.chunks(length) {
        splitter.push(piece, |item| cut.push(item));
    }
    assert_eq!(whole, cut, "the answer depends on how the stream was cut");
    for item in whole {
        if let Item::Picture(picture) = item {
            assert!(picture.starts_with(&[0xFF, 0xD8]) && picture.ends_with(&[0xFF, 0xD9]));
            assert!(picture.len() <= MAX_BYTES);
        }
    }
});
