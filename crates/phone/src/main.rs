//! The program in the page: see the crate.
#![forbid(unsafe_code)]

use std::io::{Read as _, Write as _};

fn main() -> std::io::Result<()> {
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input)?;
    let said = match phone::respond(&input) {
        Ok(answers) => serde_json::json!({ "answers": answers }),
        Err(why) => serde_json::json!({ "error": why.to_string() }),
    };
    std::io::stdout().write_all(said.to_string().as_bytes())
}
