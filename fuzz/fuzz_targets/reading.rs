//! Stored readings: bytes to log-probabilities, and the numbers that they explain best.
#![no_main]

use domain::reading::{Alphabet, Matrix};
use libfuzzer_sys::fuzz_target;

const CHARACTERS: &str = "京沪粤苏浙ABCDEFGHJKLMNPQRSTUVWXYZ0123456789O使领警学港澳挂";

fuzz_target!(|bytes: &[u8]| {
    let alphabet = Alphabet::new(CHARACTERS).expect("it is one");
    let classes = alphabet.classes();
    // A short input is repeated, so that most inputs are whole matrices.
    let needed = 8 * classes * 2;
    let filled: Vec<u8> = bytes.iter().copied().cycle().take(needed).collect();
    for stored in [bytes, &filled] {
        let Ok(matrix) = Matrix::from_bytes(classes, stored) else {
            continue;
        };
        let again = Matrix::from_bytes(classes, &matrix.to_bytes());
        assert_eq!(again.as_ref(), Ok(&matrix));
        let mut least = None;
        for candidate in matrix.valid_numbers(&alphabet).take(8) {
            let score = matrix.score(&candidate.number, &alphabet);
            assert_eq!(score, Some(candidate.score));
            assert!(
                least.is_none_or(|least| candidate.score <= least),
                "not the best first"
            );
            least = Some(candidate.score);
        }
    }
});
