//! Texts of QR codes: whatever is taken for a pass is exactly what its key would have written.
#![no_main]

use access::pass::Token;
use domain::signing::SecretKey;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let key = SecretKey::from_bytes([1; 32]);
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(token) = Token::verify(text, &[key.public()])
    {
        assert_eq!(token.sign(&key), text);
    }
});
