//! Draws what was read into a picture: the quad, and above it text and certainty.
//!
//! Chinese characters come from the subset font of the `sim` crate; it has no letters and
//! digits, which are a 5 x 7 grid here. Together that is 14 kB instead of a font of 16 MB.

use std::path::Path;

use ab_glyph::{Font, FontRef, Glyph, PxScale, point};
use vision::Frame;
use vision::picture::{Region, encode_jpeg};

use super::PlateAnswer;

const FONT: &[u8] = include_bytes!("../../../sim/assets/plates.otf");
/// JPEG quality of drawn pictures.
const QUALITY: u8 = 90;
const GREEN: [u8; 3] = [40, 220, 60];
const AMBER: [u8; 3] = [255, 180, 0];
const BLACK: [u8; 3] = [0, 0, 0];
/// From this certainty on a plate is drawn green, else amber.
const SURE: f32 = 0.9;
/// Columns and rows of a grid letter's cell, the gap to the next one included.
const CELL: (i32, i32) = (6, 7);

/// Letters and digits: seven rows of five bits, the leftmost column the highest bit.
const LETTERS: [(char, [u8; 7]); 36] = [
    ('A', [0x0e, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11]),
    ('B', [0x1e, 0x11, 0x11, 0x1e, 0x11, 0x11, 0x1e]),
    ('C', [0x0e, 0x11, 0x10, 0x10, 0x10, 0x11, 0x0e]),
    ('D', [0x1e, 0x11, 0x11, 0x11, 0x11, 0x11, 0x1e]),
    ('E', [0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x1f]),
    ('F', [0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x10]),
    ('G', [0x0e, 0x11, 0x10, 0x17, 0x11, 0x11, 0x0f]),
    ('H', [0x11, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11]),
    ('J', [0x07, 0x02, 0x02, 0x02, 0x02, 0x12, 0x0c]),
    ('K', [0x11, 0x12, 0x14, 0x18, 0x14, 0x12, 0x11]),
    ('L', [0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x1f]),
    ('M', [0x11, 0x1b, 0x15, 0x15, 0x11, 0x11, 0x11]),
    ('N', [0x11, 0x19, 0x15, 0x13, 0x11, 0x11, 0x11]),
    ('O', [0x0e, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e]),
    ('P', [0x1e, 0x11, 0x11, 0x1e, 0x10, 0x10, 0x10]),
    ('Q', [0x0e, 0x11, 0x11, 0x11, 0x15, 0x12, 0x0d]),
    ('R', [0x1e, 0x11, 0x11, 0x1e, 0x14, 0x12, 0x11]),
    ('S', [0x0f, 0x10, 0x10, 0x0e, 0x01, 0x01, 0x1e]),
    ('T', [0x1f, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04]),
    ('U', [0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e]),
    ('V', [0x11, 0x11, 0x11, 0x11, 0x11, 0x0a, 0x04]),
    ('W', [0x11, 0x11, 0x11, 0x15, 0x15, 0x1b, 0x11]),
    ('X', [0x11, 0x11, 0x0a, 0x04, 0x0a, 0x11, 0x11]),
    ('Y', [0x11, 0x11, 0x0a, 0x04, 0x04, 0x04, 0x04]),
    ('Z', [0x1f, 0x01, 0x02, 0x04, 0x08, 0x10, 0x1f]),
    ('0', [0x0e, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0e]),
    ('1', [0x04, 0x0c, 0x04, 0x04, 0x04, 0x04, 0x0e]),
    ('2', [0x0e, 0x11, 0x01, 0x06, 0x08, 0x10, 0x1f]),
    ('3', [0x0e, 0x11, 0x01, 0x06, 0x01, 0x11, 0x0e]),
    ('4', [0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02]),
    ('5', [0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e]),
    ('6', [0x06, 0x08, 0x10, 0x1e, 0x11, 0x11, 0x0e]),
    ('7', [0x1f, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08]),
    ('8', [0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e]),
    ('9', [0x0e, 0x11, 0x11, 0x0f, 0x01, 0x02, 0x0c]),
    ('%', [0x18, 0x19, 0x02, 0x04, 0x08, 0x13, 0x03]),
];

/// Writes the frame with its plates drawn in as JPEG. The error is a sentence.
pub(super) fn write(frame: &Frame, plates: &[PlateAnswer], path: &Path) -> Result<(), String> {
    let mut canvas = Canvas {
        rgb: frame.rgb.to_vec(),
        width: frame.width as i32,
        height: frame.height as i32,
    };
    for plate in plates {
        canvas.plate(plate);
    }
    let Canvas { rgb, .. } = canvas;
    let drawn = Frame {
        rgb: rgb.into(),
        ..frame.clone()
    };
    let bytes = encode_jpeg(&drawn, Region::whole(&drawn), QUALITY).map_err(|e| e.to_string())?;
    std::fs::write(path, bytes).map_err(|e| {
        format!(
            "the drawn picture {} cannot be written: {e}",
            path.display()
        )
    })
}

struct Canvas {
    rgb: Vec<u8>,
    width: i32,
    height: i32,
}

impl Canvas {
    /// Mixes a colour into one pixel; outside the picture nothing happens.
    fn dot(&mut self, x: i32, y: i32, colour: [u8; 3], cover: f32) {
        if !(0..self.width).contains(&x) || !(0..self.height).contains(&y) {
            return;
        }
        let at = (y as usize * self.width as usize + x as usize) * 3;
        for (sample, ink) in self.rgb[at..at + 3].iter_mut().zip(colour) {
            let mixed = f32::from(*sample) * (1.0 - cover) + f32::from(ink) * cover;
            *sample = mixed.round() as u8;
        }
    }

    fn block(&mut self, left: i32, top: i32, width: i32, height: i32, colour: [u8; 3]) {
        for y in top..top + height {
            for x in left..left + width {
                self.dot(x, y, colour, 1.0);
            }
        }
    }

    /// A line of square dots, only as long as the picture's diagonal needs.
    fn line(&mut self, from: (f32, f32), to: (f32, f32), thick: i32, colour: [u8; 3]) {
        let steps = (to.0 - from.0)
            .abs()
            .max((to.1 - from.1).abs())
            .ceil()
            .max(1.0);
        let steps = steps.min(4.0 * self.width.max(self.height) as f32) as i32;
        for step in 0..=steps {
            let part = step as f32 / steps as f32;
            let x = from.0 + (to.0 - from.0) * part;
            let y = from.1 + (to.1 - from.1) * part;
            self.block(
                x.round() as i32 - thick / 2,
                y.round() as i32 - thick / 2,
                thick,
                thick,
                colour,
            );
        }
    }

    fn plate(&mut self, plate: &PlateAnswer) {
        let colour = if plate.confidence >= SURE {
            GREEN
        } else {
            AMBER
        };
        let corners = plate.quad.0;
        // Large pictures get larger dots, so that they can be read when shrunk to a screen.
        let dot = (self.width.max(self.height) / 640).max(1) + 1;
        for i in 0..4 {
            self.line(corners[i], corners[(i + 1) % 4], dot, colour);
        }
        let (left, top, _, bottom) = plate.quad.bounds();
        let text = format!("{} {:.0}%", plate.text, plate.confidence * 100.0);
        let (wide, high) = (width(&text) * dot, CELL.1 * dot);
        let box_height = high + 4 * dot;
        let x = (left as i32).clamp(0, (self.width - wide).max(0));
        let above = top as i32 - box_height - dot;
        let y = if above >= 0 {
            above
        } else {
            bottom as i32 + 2 * dot
        };
        self.block(x, y, wide + dot, box_height, BLACK);
        self.text(&text, x + dot, y + 2 * dot, dot, colour);
    }

    fn text(&mut self, text: &str, left: i32, top: i32, dot: i32, colour: [u8; 3]) {
        let mut x = left;
        for c in text.chars() {
            if let Some((_, rows)) = LETTERS.iter().find(|(known, _)| *known == c) {
                for (row, bits) in (0_i32..).zip(rows) {
                    for column in (0..5).filter(|column| bits >> (4 - column) & 1 == 1) {
                        self.block(x + column * dot, top + row * dot, dot, dot, colour);
                    }
                }
            } else {
                self.chinese(c, x, top, dot, colour);
            }
            x += advance(c) * dot;
        }
    }

    /// A character of the font, a little taller than the letters beside it.
    fn chinese(&mut self, c: char, left: i32, top: i32, dot: i32, colour: [u8; 3]) {
        let Ok(font) = FontRef::try_from_slice(FONT) else {
            return;
        };
        let size = (CELL.1 + 2) * dot;
        let glyph: Glyph = font
            .glyph_id(c)
            .with_scale_and_position(PxScale::from(size as f32 * 1.3), point(0.0, 0.0));
        if let Some(outline) = font.outline_glyph(glyph) {
            let bounds = outline.px_bounds();
            // Centred in a square of its own.
            let x0 = left + (size - bounds.width() as i32) / 2;
            let y0 = top - dot + (size - bounds.height() as i32) / 2;
            outline.draw(|x, y, cover| {
                self.dot(x0 + x as i32, y0 + y as i32, colour, cover.clamp(0.0, 1.0));
            });
        }
    }
}

/// Grid columns a character takes.
fn advance(c: char) -> i32 {
    if c.is_ascii() { CELL.0 } else { CELL.1 + 3 }
}

fn width(text: &str) -> i32 {
    text.chars().map(advance).sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use ab_glyph::GlyphId;
    use domain::Quad;
    use vision::models::Models;
    use vision::picture::Picture;

    use super::*;

    #[test]
    fn every_character_of_the_models_can_be_drawn() {
        let font = FontRef::try_from_slice(FONT).unwrap();
        for &c in Models::embedded().unwrap().alphabet().characters() {
            let drawn =
                LETTERS.iter().any(|(known, _)| *known == c) || font.glyph_id(c) != GlyphId(0);
            assert!(drawn, "{c}");
        }
    }

    #[test]
    fn quads_anywhere_are_drawn_without_leaving_the_picture() {
        let folder = tempfile::tempdir().unwrap();
        let frame = Picture {
            rgb: vec![0; 200 * 100 * 3],
            width: 200,
            height: 100,
        }
        .into_still()
        .unwrap();
        let plate = |x: f32, y: f32| PlateAnswer {
            text: "苏E12345".into(),
            kind: None,
            confidence: 0.95,
            quad: Quad([(x, y), (x + 60.0, y), (x + 60.0, y + 20.0), (x, y + 20.0)]),
            slots: None,
        };
        let path = folder.path().join("a.jpg");
        let plates = [
            plate(70.0, 50.0),
            plate(-30.0, -10.0),
            plate(190.0, 95.0),
            plate(1e9, 1e9),
        ];
        write(&frame, &plates, &path).unwrap();
        let drawn = vision::picture::read(&path).unwrap();
        let green = |p: &&[u8]| p[1] > 150 && p[0] < 120;
        assert!(drawn.rgb.chunks_exact(3).filter(green).count() > 200);
        assert!(write(&frame, &[], Path::new("no/such/folder/a.jpg")).is_err());
    }
}
