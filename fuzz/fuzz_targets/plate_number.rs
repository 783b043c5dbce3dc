//! Plate numbers as people type them.
#![no_main]

use domain::PlateNumber;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match PlateNumber::parse(text) {
        Ok(plate) => {
            assert!((7..=8).contains(&plate.as_str().chars().count()));
            assert!(!plate.kinds().is_empty());
            for written in [plate.as_str(), &plate.dotted()] {
                assert_eq!(PlateNumber::parse(written).as_ref(), Ok(&plate));
            }
        }
        Err(why) => assert!(!why.to_string().is_empty()),
    }
});
