//! Entries of the journal as they are found on disk.
#![no_main]

use domain::Entry;
use domain::event::Chain;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut chain = Chain::EMPTY;
    let before = chain;
    match chain.check(bytes) {
        Ok(entry) => assert_eq!(chain.seq, entry.seq),
        Err(why) => {
            assert!(!why.to_string().is_empty());
            assert_eq!(chain, before, "a refused entry moved the chain");
        }
    }
    if let Ok(entry) = serde_json::from_slice::<Entry>(bytes) {
        let written = serde_json::to_vec(&entry).expect("an entry that was read can be written");
        let again: Entry = serde_json::from_slice(&written).expect("and read again");
        assert_eq!(again, entry);
        // What stands in the journal continues the chain that it was sealed with.
        let (sealed, stored, next) = before
            .seal(entry.id, entry.time, entry.clock_trusted, entry.event)
            .expect("it can be sealed");
        let mut chain = before;
        assert_eq!(chain.check(&stored).expect("its own entry fits"), sealed);
        assert_eq!(chain, next);
    }
});
