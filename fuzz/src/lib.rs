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

pub use frame::Frame;

/// Takes the first byte of a fuzzed input as the length of the pieces in which a stream
/// arrives, and gives that length and the stream.
pub fn pieces(data: &[u8]) -> (usize, &[u8]) {
    match data {
        [first, stream @ ..] => (usize::from(*first).max(1), stream),
        [] => (1, data),
    }
}
