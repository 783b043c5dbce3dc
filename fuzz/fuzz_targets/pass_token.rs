//! What a QR code of a pass may hold: any text at all, and anything at all behind a sound signature.
#![no_main]

use access::pass::token::{PREFIX, Token, TokenError};
use data_encoding::BASE32_NOPAD;
use domain::signing::{Purpose, SecretKey};
use libfuzzer_sys::fuzz_target;

fn key() -> SecretKey {
    SecretKey::from_bytes([7; 32])
}

/// One token, one spelling: what is genuine is what signing its facts writes.
fn check(text: &str) -> Result<Token, TokenError> {
    let key = key();
    let answer = Token::verify(text, &[key.public()]);
    match &answer {
        Ok(token) => assert_eq!(token.sign(&key), text),
        Err(why) => assert!(!why.to_string().is_empty()),
    }
    answer
}

/// A text that this key has signed, whatever it says.
fn signed(facts: &[u8]) -> String {
    let key = key();
    let mut bytes = key.public().to_bytes()[..4].to_vec();
    bytes.extend_from_slice(facts);
    let text = [PREFIX.as_bytes(), &bytes].concat();
    bytes.extend_from_slice(&key.sign(Purpose::Pass, &text).to_bytes());
    format!("{PREFIX}{}", BASE32_NOPAD.encode(&bytes))
}

fuzz_target!(|data: &[u8]| {
    let Some((&which, rest)) = data.split_first() else {
        return;
    };
    if which % 2 == 0 {
        let Ok(text) = std::str::from_utf8(rest) else {
            return;
        };
        let _ = check(text);
        // Behind the prefix, too, which chance seldom writes.
        let _ = check(&format!("{PREFIX}{text}"));
        return;
    }
    let text = signed(rest);
    match check(&text) {
        // Whatever was signed is well-formed or not, but never somebody else's.
        Ok(_) | Err(TokenError::Malformed) => {}
        Err(why) => panic!("what this key has signed is called {why:?}"),
    }
    // One character otherwise, and nobody has signed it.
    let at = PREFIX.len() + usize::from(which / 2) % (text.len() - PREFIX.len());
    let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
    let mut altered = text;
    altered.replace_range(at..=at, other);
    assert!(check(&altered).is_err(), "an altered token is genuine");
});
