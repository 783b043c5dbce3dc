//! The pure parsers of `vision`, by their source files: linking the crate itself would build
//! its inference library a second time, instrumented, which takes many minutes.

#[path = "../../crates/vision/src/frame.rs"]
pub mod frame;
#[path = "../../crates/vision/src/source/jpeg.rs"]
pub mod jpeg;
#[path = "../../crates/vision/src/models/manifest.rs"]
pub mod manifest;
#[path = "../../crates/vision/src/source/netpbm.rs"]
pub mod netpbm;
#[path = "../../crates/vision/src/picture.rs"]
pub mod picture;

use domain::sync::{Manifest, Page, RegisterVersion, Scope, digest_of, pack, root_of};

pub use frame::Frame;

/// Messages from a fuzzed input: three bytes that say how each comes, two for its length, and it.
pub fn messages(mut data: &[u8]) -> impl Iterator<Item = ([u8; 3], &[u8])> {
    std::iter::from_fn(move || {
        let (head, rest) = data.split_first_chunk::<3>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (message, rest) = rest.split_at(length);
        data = rest;
        Some((*head, message))
    })
}

/// A register of three pages on its way to a gate.
///
/// # Panics
/// Never: it is always the same.
pub fn register() -> (Manifest, Vec<Page>) {
    let rows: Vec<String> = (0..3)
        .map(|n| format!("{{\"row\":{n},\"why\":\"{}\"}}", "x".repeat(3000)))
        .collect();
    let pages = pack(&rows).expect("three short rows");
    let manifest = Manifest {
        version: RegisterVersion(1),
        scope: Scope::Register,
        base: None,
        pages: u32::try_from(pages.len()).expect("three"),
        root: root_of(&pages),
        digest: digest_of(rows),
        why: String::new(),
    };
    (manifest, pages)
}

/// Takes the first byte of a fuzzed input as the length of the pieces in which a stream
/// arrives, and gives that length and the stream.
pub fn pieces(data: &[u8]) -> (usize, &[u8]) {
    match data {
        [first, stream @ ..] => (usize::from(*first).max(1), stream),
        [] => (1, data),
    }
}
