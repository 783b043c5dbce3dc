//! PPM and PAM pictures from a decoder's pipe.
#![no_main]

use libfuzzer_sys::fuzz_target;
use menshen_fuzz::netpbm::{Item, MAX_PIXELS, Parser};
use menshen_fuzz::pieces;

fuzz_target!(|data: &[u8]| {
    let (length, stream) = pieces(data);
    let (mut whole, mut cut) = (Vec::new(), Vec::new());
    Parser::new().push(stream, |item| whole.push(item));
    let mut parser = Parser::new();
    for piece in stream.chunks(length) {
        parser.push(piece, |item| cut.push(item));
    }
    assert_eq!(whole, cut, "the answer depends on how the stream was cut");
    for item in whole {
        if let Item::Picture(picture) = item {
            let pixels = u64::from(picture.width) * u64::from(picture.height);
            assert!((1..=MAX_PIXELS).contains(&pixels));
            assert_eq!(picture.rgb.len() as u64, pixels * 3);
        }
    }
});
