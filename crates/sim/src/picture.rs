//! Pictures in memory, and as files.

use std::path::{Path, PathBuf};

use image::{ExtendedColorType, ImageEncoder as _};

/// A picture: rows from the top, three bytes a pixel: red, green, blue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

/// Why a picture was not written.
#[derive(Debug, thiserror::Error)]
#[error(
    "{path}: the picture cannot be written: {reason}; the name must end in .png, .jpg or .ppm and the folder exist and be writable"
)]
pub struct SaveError {
    path: PathBuf,
    reason: String,
}

impl Picture {
    /// A picture of one colour.
    pub fn filled(width: u32, height: u32, rgb: [u8; 3]) -> Self {
        Self {
            width,
            height,
            rgb: rgb.repeat(width as usize * height as usize),
        }
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The pixels, `width * height * 3` bytes.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The pixels, given away.
    pub fn into_rgb(self) -> Vec<u8> {
        self.rgb
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.rgb
    }

    fn at(&self, x: u32, y: u32) -> Option<usize> {
        (x < self.width && y < self.height)
            .then(|| (y as usize * self.width as usize + x as usize) * 3)
    }

    /// One pixel; black outside the picture.
    pub fn get(&self, x: u32, y: u32) -> [u8; 3] {
        self.at(x, y)
            .map_or([0; 3], |i| [self.rgb[i], self.rgb[i + 1], self.rgb[i + 2]])
    }

    pub(crate) fn set(&mut self, x: u32, y: u32, rgb: [u8; 3]) {
        if let Some(i) = self.at(x, y) {
            self.rgb[i..i + 3].copy_from_slice(&rgb);
        }
    }

    /// Lays a colour over a pixel, `cover` 0 to 1.
    pub(crate) fn blend(&mut self, x: u32, y: u32, rgb: [u8; 3], cover: f32) {
        if let Some(i) = self.at(x, y) {
            blend(&mut self.rgb[i..i + 3], rgb, cover);
        }
    }

    /// The picture as binary PPM (P6).
    pub fn to_ppm(&self) -> Vec<u8> {
        let mut out = format!("P6\n{} {}\n255\n", self.width, self.height).into_bytes();
        out.extend_from_slice(&self.rgb);
        out
    }

    /// The picture as JPEG, `quality` 1 to 100.
    ///
    /// # Errors
    /// The encoder's message; only a picture without pixels or with a side over 65,535 has one.
    pub fn to_jpeg(&self, quality: u8) -> Result<Vec<u8>, image::ImageError> {
        let mut out = Vec::new();
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut out, quality).write_image(
            &self.rgb,
            self.width,
            self.height,
            ExtendedColorType::Rgb8,
        )?;
        Ok(out)
    }

    /// The picture as PNG.
    ///
    /// # Errors
    /// The encoder's message; only a picture without pixels has one.
    pub fn to_png(&self) -> Result<Vec<u8>, image::ImageError> {
        let mut out = Vec::new();
        image::codecs::png::PngEncoder::new(&mut out).write_image(
            &self.rgb,
            self.width,
            self.height,
            ExtendedColorType::Rgb8,
        )?;
        Ok(out)
    }

    /// Writes the picture as PNG, JPEG (quality 92) or PPM, as the name's ending says.
    ///
    /// # Errors
    /// [`SaveError`] with the path and what the encoder or the system said.
    pub fn save(&self, path: &Path) -> Result<(), SaveError> {
        let failed = |reason: String| SaveError {
            path: path.to_owned(),
            reason,
        };
        let ending = path
            .extension()
            .map(std::ffi::OsStr::to_ascii_lowercase)
            .unwrap_or_default();
        let bytes = match ending.to_str() {
            Some("png") => self.to_png().map_err(|e| failed(e.to_string()))?,
            Some("jpg" | "jpeg") => self.to_jpeg(92).map_err(|e| failed(e.to_string()))?,
            Some("ppm") => self.to_ppm(),
            _ => return Err(failed("its format is not known".into())),
        };
        std::fs::write(path, bytes).map_err(|e| failed(e.to_string()))
    }
}

/// Lays a colour over three bytes, `cover` 0 to 1.
pub(crate) fn blend(pixel: &mut [u8], rgb: [u8; 3], cover: f32) {
    let k = (cover.clamp(0.0, 1.0) * 256.0) as i32;
    for (old, new) in pixel.iter_mut().zip(rgb) {
        let was = i32::from(*old);
        *old = (was + (((i32::from(new) - was) * k) >> 8)) as u8;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn files_hold_what_was_saved() {
        let folder = tempfile::tempdir().unwrap();
        let mut picture = Picture::filled(20, 10, [10, 200, 30]);
        picture.set(3, 4, [255, 0, 128]);
        for name in ["a.png", "a.ppm"] {
            let path = folder.path().join(name);
            picture.save(&path).unwrap();
            let read = image::open(&path).unwrap().to_rgb8();
            assert_eq!(read.as_raw().as_slice(), picture.rgb(), "{name}");
        }
        let path = folder.path().join("a.jpg");
        picture.save(&path).unwrap();
        assert_eq!(image::open(&path).unwrap().to_rgb8().dimensions(), (20, 10));
    }

    #[test]
    fn a_name_or_folder_that_does_not_work_is_named() {
        let picture = Picture::filled(2, 2, [0; 3]);
        for name in ["picture.gif", "nowhere/at/all/picture.png"] {
            let message = picture.save(Path::new(name)).unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
        }
    }
}
