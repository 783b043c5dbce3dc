//! Picture files to frames and back, with limits that a hostile file cannot pass.
//!
//! ```text
//! bytes ──► format and header ──► size checked ──► decoded ──► turned upright ──► 8-bit RGB
//! ```
//!
//! Cameras, folders and `menshen read` hand in whatever they got. A header that promises more
//! than [`MAX_PIXELS`] is refused before a single pixel is allocated; a file that ends too early
//! is refused rather than padded with grey, because half a plate reads as a wrong plate.
//! Sixteen-bit samples are scaled to eight, CMYK and grey become RGB, alpha is dropped, and the
//! EXIF orientation is applied.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use domain::Monotonic;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use jiff::Timestamp;

use crate::Frame;

/// Pixels a picture may have.
pub const MAX_PIXELS: u64 = 64_000_000;
/// Pixels one side of a picture may have.
pub const MAX_SIDE: u32 = 16_384;
/// Bytes a picture file may have: more than the largest uncompressed picture allowed.
pub const MAX_FILE: u64 = 520 << 20;

/// A decoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels, row by row from the top, three bytes each: red, green, blue.
    pub rgb: Vec<u8>,
    /// Width in pixels, at least 1.
    pub width: u32,
    /// Height in pixels, at least 1.
    pub height: u32,
}

/// Why bytes are no picture. Each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The file could not be read.
    #[error("the file cannot be read: {0}")]
    File(#[from] std::io::Error),
    /// No bytes.
    #[error("the file is empty; was its copy or upload interrupted?")]
    Empty,
    /// The file is larger than any picture allowed.
    #[error(
        "the file has {0} bytes, more than any picture within the limits ({MAX_FILE}); is it a video?"
    )]
    FileTooLarge(u64),
    /// Not a known format.
    #[error(
        "this is no picture that can be decoded; JPEG, PNG, WebP, BMP and PNM (PPM, PGM, PAM) can"
    )]
    Format,
    /// Too many pixels; nothing was decoded.
    #[error(
        "the picture is {width} x {height} pixels; at most {MAX_SIDE} a side and {} megapixels are decoded: shrink it first",
        MAX_PIXELS / 1_000_000
    )]
    TooLarge {
        /// Width the header states.
        width: u32,
        /// Height the header states.
        height: u32,
    },
    /// The data ends before the picture does.
    #[error("the {format} picture is cut short; was its copy or download interrupted?")]
    Truncated {
        /// The format's name.
        format: &'static str,
    },
    /// The decoder refused.
    #[error("the picture is damaged: {0}")]
    Damaged(String),
    /// The encoder refused.
    #[error("the picture cannot be written as JPEG: {0}")]
    Encode(String),
    /// A region outside the frame.
    #[error(
        "the region {width} x {height} at {left},{top} lies outside the {frame_width} x {frame_height} frame"
    )]
    Region {
        /// Left edge asked for.
        left: u32,
        /// Top edge asked for.
        top: u32,
        /// Width asked for.
        width: u32,
        /// Height asked for.
        height: u32,
        /// The frame's width.
        frame_width: u32,
        /// The frame's height.
        frame_height: u32,
    },
}

impl Picture {
    /// The picture as a camera's frame.
    ///
    /// # Errors
    /// [`PictureError::Damaged`] if the pixels do not fit the size, which cannot happen to a
    /// picture from [`decode`].
    pub fn into_frame(
        self,
        at: Monotonic,
        wall: Timestamp,
        number: u64,
    ) -> Result<Frame, PictureError> {
        Frame::new(self.rgb, self.width, self.height, at, wall, number).map_err(|rgb| {
            PictureError::Damaged(format!(
                "{} bytes for {} x {} pixels",
                rgb.len(),
                self.width,
                self.height
            ))
        })
    }

    /// The picture as a frame of its own, outside any stream: all its times are zero.
    ///
    /// # Errors
    /// As [`Self::into_frame`].
    pub fn into_still(self) -> Result<Frame, PictureError> {
        self.into_frame(Monotonic::default(), Timestamp::UNIX_EPOCH, 0)
    }
}

/// Reads and decodes a picture file.
///
/// # Errors
/// [`PictureError`], which does not name the file: the caller knows it.
pub fn read(path: &Path) -> Result<Picture, PictureError> {
    let size = std::fs::metadata(path)?.len();
    if size > MAX_FILE {
        return Err(PictureError::FileTooLarge(size));
    }
    decode(&std::fs::read(path)?)
}

/// Decodes a picture from its bytes: JPEG, PNG, WebP, BMP or PNM.
///
/// # Errors
/// [`PictureError`] says what is wrong with the bytes.
pub fn decode(bytes: &[u8]) -> Result<Picture, PictureError> {
    if bytes.is_empty() {
        return Err(PictureError::Empty);
    }
    // Decoders are other people's code fed with strangers' bytes. Should one panic, this
    // picture is lost and not the lane.
    catch_unwind(AssertUnwindSafe(|| decode_inner(bytes)))
        .unwrap_or_else(|_| Err(PictureError::Damaged("its decoder gave up on it".into())))
}

fn decode_inner(bytes: &[u8]) -> Result<Picture, PictureError> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let format = reader.format().ok_or(PictureError::Format)?;
    reader.no_limits();
    let mut decoder = reader.into_decoder().map_err(|e| refused(format, e))?;
    let (width, height) = decoder.dimensions();
    if width > MAX_SIDE || height > MAX_SIDE || u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(PictureError::TooLarge { width, height });
    }
    if width == 0 || height == 0 {
        return Err(PictureError::Damaged("it has no pixels".into()));
    }
    // The JPEG decoder fills what is missing with grey and says nothing.
    if format == ImageFormat::Jpeg && !jpeg_is_complete(bytes) {
        return Err(PictureError::Truncated { format: "JPEG" });
    }
    let mut limits = Limits::no_limits();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_PIXELS * 16);
    decoder.set_limits(limits).map_err(|e| refused(format, e))?;
    // A broken EXIF block is no reason to lose the picture.
    let orientation = decoder.orientation().ok();
    let mut image = DynamicImage::from_decoder(decoder).map_err(|e| refused(format, e))?;
    if let Some(orientation) = orientation {
        image.apply_orientation(orientation);
    }
    let rgb = image.into_rgb8();
    let (width, height) = rgb.dimensions();
    Ok(Picture {
        rgb: rgb.into_raw(),
        width,
        height,
    })
}

fn refused(format: ImageFormat, error: image::ImageError) -> PictureError {
    match error {
        image::ImageError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            PictureError::Truncated {
                format: match format {
                    ImageFormat::Png => "PNG",
                    ImageFormat::WebP => "WebP",
                    ImageFormat::Bmp => "BMP",
                    ImageFormat::Pnm => "PNM",
                    _ => "JPEG",
                },
            }
        }
        image::ImageError::Unsupported(_) if !supported(format) => PictureError::Format,
        other => PictureError::Damaged(other.to_string()),
    }
}

fn supported(format: ImageFormat) -> bool {
    matches!(
        format,
        ImageFormat::Jpeg
            | ImageFormat::Png
            | ImageFormat::WebP
            | ImageFormat::Bmp
            | ImageFormat::Pnm
    )
}

/// Whether a JPEG's markers run from its start to an end-of-image marker.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    const END: u8 = 0xd9;
    const SCAN: u8 = 0xda;
    let mut at = 2;
    while let Some(rest) = bytes.get(at..) {
        // Between segments, and after a scan's data, a marker is 0xff and a byte that is neither
        // stuffing (0) nor a restart (0xd0 to 0xd7); 0xff may repeat before it.
        let Some(skip) = rest.windows(2).position(|pair| {
            pair[0] == 0xff && !matches!(pair[1], 0 | 0xff) && !(0xd0..=0xd7).contains(&pair[1])
        }) else {
            return false;
        };
        let marker = rest[skip + 1];
        at += skip + 2;
        if marker == END {
            return true;
        }
        if marker != SCAN && marker != 0x01 && marker != 0xd8 {
            let Some(&[high, low]) = bytes.get(at..at + 2) else {
                return false;
            };
            at += usize::from(u16::from_be_bytes([high, low]));
        }
    }
    false
}

/// An upright part of a frame, in whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Left edge, from 0.
    pub left: u32,
    /// Top edge, from 0.
    pub top: u32,
    /// Width, at least 1.
    pub width: u32,
    /// Height, at least 1.
    pub height: u32,
}

impl Region {
    /// The whole frame.
    pub fn whole(frame: &Frame) -> Self {
        Self {
            left: 0,
            top: 0,
            width: frame.width,
            height: frame.height,
        }
    }

    /// The part of the frame around a quad, with `margin` parts of its size on every side;
    /// always inside the frame and never empty.
    pub fn around(frame: &Frame, quad: &domain::Quad, margin: f32) -> Self {
        let (l, t, r, b) = quad.bounds();
        let (mx, my) = ((r - l) * margin, (b - t) * margin);
        // `as` saturates, so also a quad far outside ends inside the frame.
        let low = |v: f32, side: u32| (v.floor().max(0.0) as u32).min(side - 1);
        let high = |v: f32, from: u32, side: u32| (v.ceil().max(0.0) as u32).clamp(from + 1, side);
        let (left, top) = (low(l - mx, frame.width), low(t - my, frame.height));
        Self {
            left,
            top,
            width: high(r + mx, left, frame.width) - left,
            height: high(b + my, top, frame.height) - top,
        }
    }
}

/// A part of a frame as JPEG; `quality` from 1 to 100.
///
/// # Errors
/// [`PictureError::Region`] if the region is empty or leaves the frame,
/// [`PictureError::Encode`] if it is too large for JPEG.
pub fn encode_jpeg(frame: &Frame, region: Region, quality: u8) -> Result<Vec<u8>, PictureError> {
    let inside = region.width > 0
        && region.height > 0
        && u64::from(region.left) + u64::from(region.width) <= u64::from(frame.width)
        && u64::from(region.top) + u64::from(region.height) <= u64::from(frame.height);
    if !inside {
        return Err(PictureError::Region {
            left: region.left,
            top: region.top,
            width: region.width,
            height: region.height,
            frame_width: frame.width,
            frame_height: frame.height,
        });
    }
    let stride = frame.width as usize * 3;
    let (from, length) = (region.left as usize * 3, region.width as usize * 3);
    let pixels: Vec<u8> = frame
        .rgb
        .chunks_exact(stride)
        .skip(region.top as usize)
        .take(region.height as usize)
        .flat_map(|row| &row[from..from + length])
        .copied()
        .collect();
    let mut out = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut out, quality.clamp(1, 100))
        .encode(
            &pixels,
            region.width,
            region.height,
            image::ExtendedColorType::Rgb8,
        )
        .map_err(|e| PictureError::Encode(e.to_string()))?;
    Ok(out)
}
