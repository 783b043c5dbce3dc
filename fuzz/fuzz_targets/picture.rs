//! Picture files of every format that is decoded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use menshen_fuzz::picture::{MAX_PIXELS, MAX_SIDE, decode};

fuzz_target!(|bytes: &[u8]| {
    match decode(bytes) {
        Ok(picture) => {
            let pixels = u64::from(picture.width) * u64::from(picture.height);
            assert!((1..=MAX_PIXELS).contains(&pixels));
            assert!(picture.width <= MAX_SIDE && picture.height <= MAX_SIDE);
            assert_eq!(picture.rgb.len() as u64, pixels * 3);
            assert!(picture.into_still().is_ok());
        }
        Err(why) => assert!(!why.to_string().is_empty()),
    }
});
