//! One labelled picture shown to the recogniser.

use std::path::Path;

use domain::{Quad, Reading};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{FilterType, resize};
use image::{Rgb, RgbImage};
use vision::Frame;
use vision::models::ModelError;
use vision::picture::{self, Picture, Region};
use vision::recognise::{Recogniser, best_text, unconstrained_text};

use super::judge::{Answer, Judged, JudgedPlate, Seen, Text, judge};
use super::labels::{LabelledPlate, Row};

/// Pixels that a small picture is wide at the most.
const THUMBNAIL: u32 = 300;
/// JPEG quality of small pictures.
const QUALITY: u8 = 80;
/// What is shown around a plate, as a part of its size.
const AROUND: f32 = 0.15;

/// One row with what the recogniser made of it.
#[derive(Debug)]
pub(super) struct Looked {
    /// Against the labels.
    pub(super) judged: Judged,
    /// For each judged plate a small JPEG, where it was misread and pictures are wanted.
    pub(super) thumbnails: Vec<Option<Vec<u8>>>,
}

/// Shows a row's picture to the recogniser. The inner error is a sentence about the picture.
///
/// # Errors
/// [`ModelError::Run`], if a network fails, which no picture should bring about.
pub(super) fn look(
    recogniser: &mut Recogniser,
    row: &Row,
    folder: &Path,
    thumbnails: bool,
) -> Result<Result<Looked, String>, ModelError> {
    let path = folder.join(&row.path);
    let frame = match picture::read(&path).and_then(Picture::into_still) {
        Ok(frame) => frame,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let seen = see(recogniser, row, &frame)?;
    let judged = judge(row, &seen, frame.width);
    let small = |plate: &JudgedPlate| {
        let wanted = thumbnails && !plate.is_exact(plate.read());
        wanted.then(|| thumbnail(&frame, plate.quad)).flatten()
    };
    Ok(Ok(Looked {
        thumbnails: judged.plates.iter().map(small).collect(),
        judged,
    }))
}

fn see(recogniser: &mut Recogniser, row: &Row, frame: &Frame) -> Result<Seen, ModelError> {
    let mut whole = None;
    if !row.cut {
        let readings = recogniser.recognise(frame)?.readings;
        whole = Some(readings.iter().map(|r| answer(recogniser, r)).collect());
    }
    let mut alone = Vec::with_capacity(row.plates.len());
    for plate in &row.plates {
        let reading = read_alone(recogniser, plate, row.cut, frame)?;
        alone.push(reading.map(|r| answer(recogniser, &r)));
    }
    Ok(Seen { whole, alone })
}

/// The reader alone: by the labelled corners, or of a picture that is the plate.
pub(super) fn read_alone(
    recogniser: &mut Recogniser,
    plate: &LabelledPlate,
    cut: bool,
    frame: &Frame,
) -> Result<Option<Reading>, ModelError> {
    if plate.number().is_none() {
        return Ok(None);
    }
    match plate.quad {
        Some(quad) => recogniser.read_quad(frame, quad, 1.0),
        None if cut => Ok(recogniser.read_cut(frame)?.readings.into_iter().next()),
        None => Ok(None),
    }
}

pub(super) fn answer(recogniser: &Recogniser, reading: &Reading) -> Answer {
    let alphabet = recogniser.models().alphabet();
    let number = best_text(reading, alphabet);
    let (text, confidence) = unconstrained_text(reading, alphabet);
    Answer {
        quad: reading.quad,
        number: Text {
            confidence: number.as_ref().map_or(0.0, |best| best.confidence),
            text: number.map_or_else(String::new, |best| best.number.to_string()),
        },
        plain: Text { text, confidence },
    }
}

/// The plate and a little around it; the whole frame where nobody knows where the plate is.
fn thumbnail(frame: &Frame, quad: Option<Quad>) -> Option<Vec<u8>> {
    let region = quad.map_or(Region::whole(frame), |quad| {
        Region::around(frame, &quad, AROUND)
    });
    let part = RgbImage::from_fn(region.width, region.height, |x, y| {
        let pixel = (region.top + y) as usize * frame.width as usize + (region.left + x) as usize;
        let at = pixel * 3;
        Rgb([frame.rgb[at], frame.rgb[at + 1], frame.rgb[at + 2]])
    });
    let part = if part.width() > THUMBNAIL {
        let high = (part.height() * THUMBNAIL / part.width()).max(1);
        resize(&part, THUMBNAIL, high, FilterType::Triangle)
    } else {
        part
    };
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
    // A picture that cannot be shown is left out of the report, not the plate.
    part.write_with_encoder(encoder).ok()?;
    Some(bytes)
}
