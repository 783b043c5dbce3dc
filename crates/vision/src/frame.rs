//! One camera picture.

use std::sync::Arc;

use domain::Monotonic;
use jiff::Timestamp;

/// One picture with the moment its last byte arrived.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Pixels, row by row from the top, three bytes each: red, green, blue.
    pub rgb: Arc<Vec<u8>>,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// When the last byte of the picture was read.
    pub at: Monotonic,
    /// The wall clock at that moment; may be wrong after a boot without network.
    pub wall: Timestamp,
    /// Counts the frames of one source from 0; gaps are frames nobody waited for.
    pub number: u64,
}

impl Frame {
    /// A frame from its pixels.
    ///
    /// # Errors
    /// Gives the pixels back if there are not `width * height * 3` of them or a side is 0.
    pub fn new(
        rgb: Vec<u8>,
        width: u32,
        height: u32,
        at: Monotonic,
        wall: Timestamp,
        number: u64,
    ) -> Result<Self, Vec<u8>> {
        let expected = u64::from(width) * u64::from(height) * 3;
        if expected == 0 || rgb.len() as u64 != expected {
            return Err(rgb);
        }
        Ok(Self {
            rgb: Arc::new(rgb),
            width,
            height,
            at,
            wall,
            number,
        })
    }
}
