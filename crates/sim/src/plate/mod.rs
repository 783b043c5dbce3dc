//! Flat pictures of number plates, one pixel a millimetre.
//!
//! A plate number and its kind go in, a picture comes out: ground, rim, characters, bolts and
//! a little wear, the same bytes for the same seed. Letters and digits are [strokes] of our
//! own, Chinese characters come from a subset of a free font.
//!
//! [strokes]: self#letters
//!
//! # Letters
//! Real plates have narrow letters of one stroke width in a box of 45 x 90 mm. A text font
//! stretched to that box misleads a reader that was trained on real plates (9 looks like 8,
//! 6 like G), so they are drawn from their middle lines.

mod glyph;
mod layout;
pub mod poor;
mod strokes;

use domain::{PlateKind, PlateNumber};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::canvas::Shape;
use crate::picture::Picture;
pub(crate) use glyph::mask;
use layout::{Ground, Layout, RED};

/// How many rows of characters a plate has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rows {
    /// All characters side by side: 440 x 140 or 480 x 140 mm.
    Single,
    /// Province and office above, the serial below: 440 x 220 mm. Rear plates of lorries,
    /// trailers, some military vehicles.
    Double,
}

/// Why a plate cannot be drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlateLookError {
    /// The number's form does not exist for the kind.
    #[error("{number} cannot be a {kind} plate; its form is that of {possible}")]
    Form {
        /// The number.
        number: PlateNumber,
        /// The kind asked for.
        kind: PlateKind,
        /// The first kind that has this form.
        possible: PlateKind,
    },
    /// The kind has no fixed look with so many rows.
    #[error(
        "a {kind} plate with {rows:?} row(s) has no look to draw; choose another kind or number of rows"
    )]
    NoLook {
        /// The kind asked for.
        kind: PlateKind,
        /// The rows asked for.
        rows: Rows,
    },
}

/// Draws a plate: a picture of 440 x 140, 480 x 140 or 440 x 220 pixels.
///
/// # Errors
/// [`PlateLookError`] where the number does not fit the kind or the kind has no fixed look.
pub fn draw(
    number: &PlateNumber,
    kind: PlateKind,
    rows: Rows,
    seed: u64,
) -> Result<Picture, PlateLookError> {
    if !number.kinds().contains(&kind) {
        return Err(PlateLookError::Form {
            number: number.clone(),
            kind,
            possible: number.kinds().first().copied().unwrap_or(kind),
        });
    }
    let characters: Vec<char> = number.as_str().chars().collect();
    let layout = layout::layout(kind, rows, characters.len())
        .ok_or(PlateLookError::NoLook { kind, rows })?;
    Ok(paint(&layout, &characters, seed))
}

fn paint(layout: &Layout, characters: &[char], seed: u64) -> Picture {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (width, height) = (layout.width as u32, layout.height as u32);
    let mut plate = Picture::filled(width, height, [0; 3]);
    // Paint ages: a little duller, never so far that the colour would be another kind's.
    let fresh: f32 = rng.random_range(0.9..1.0);
    let aged = |rgb: [u8; 3]| rgb.map(|v| (f32::from(v) * fresh) as u8);
    for y in 0..height {
        for x in 0..width {
            let rgb = match layout.ground {
                Ground::Plain(rgb) => rgb,
                Ground::Fade(top, bottom) => {
                    let t = y as f32 / layout.height;
                    std::array::from_fn(|i| {
                        let (a, b) = (f32::from(top[i]), f32::from(bottom[i]));
                        (a + (b - a) * t) as u8
                    })
                }
                Ground::Split(left, at, right) => {
                    if (x as f32) < at {
                        left
                    } else {
                        right
                    }
                }
            };
            plate.set(x, y, aged(rgb));
        }
    }
    let mut shape = Shape::default();
    // The painted rim: a thin frame with round corners, 3 mm from the edge.
    shape.rounded_frame(
        [3.0, 3.0, layout.width - 3.0, layout.height - 3.0],
        8.0,
        1.8,
    );
    shape.fill(&mut plate, layout.ink, 1.0);
    if let Some([x, y]) = layout.dot {
        shape.ellipse(x, y, 5.0, 5.0);
        shape.fill(&mut plate, layout.ink, 1.0);
    }
    for (i, (&c, &[x, y, w, h])) in characters.iter().zip(&layout.boxes).enumerate() {
        let rgb = if layout.red.contains(&i) {
            RED
        } else {
            layout.ink
        };
        // Strokes grow with the box as the standard's do: 10 mm on the small characters.
        let stroke = if h > 100.0 {
            14.0
        } else if h < 80.0 {
            12.0
        } else {
            10.5
        };
        let ink = glyph::mask(c, w as usize, h as usize, stroke);
        let (x0, y0) = (
            (x + rng.random_range(-0.8..0.8)).round() as u32,
            y.round() as u32,
        );
        for (j, &cover) in ink.ink.iter().enumerate() {
            plate.blend(
                x0 + (j % ink.width) as u32,
                y0 + (j / ink.width) as u32,
                rgb,
                cover,
            );
        }
    }
    for x in [0.25, 0.75] {
        for y in [9.0, layout.height - 9.0] {
            let tone: u8 = rng.random_range(90..200);
            shape.ellipse(layout.width * x, y, 4.5, 4.5);
            shape.fill(&mut plate, [tone; 3], 0.9);
        }
    }
    plate
}

/// Whether every character of `text` can be drawn.
pub fn drawable(text: &str) -> bool {
    text.chars().all(glyph::drawable)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const SAMPLES: [(&str, PlateKind, Rows, (u32, u32)); 17] = [
        ("苏E12345", PlateKind::Small, Rows::Single, (440, 140)),
        ("沪A0817P", PlateKind::Large, Rows::Single, (440, 140)),
        ("沪A0817P", PlateKind::Large, Rows::Double, (440, 220)),
        (
            "苏EF24442",
            PlateKind::NewEnergySmall,
            Rows::Single,
            (480, 140),
        ),
        (
            "苏E24442D",
            PlateKind::NewEnergyLarge,
            Rows::Single,
            (480, 140),
        ),
        ("京B1234学", PlateKind::Coach, Rows::Single, (440, 140)),
        ("京B1234挂", PlateKind::Trailer, Rows::Double, (440, 220)),
        ("京B1234警", PlateKind::Police, Rows::Single, (440, 140)),
        (
            "京X1234应急",
            PlateKind::Emergency,
            Rows::Single,
            (480, 140),
        ),
        ("使123456", PlateKind::Embassy, Rows::Single, (440, 140)),
        ("沪A1234领", PlateKind::Consulate, Rows::Single, (440, 140)),
        ("粤ZA12B港", PlateKind::HongKong, Rows::Single, (440, 140)),
        ("粤ZA12B澳", PlateKind::Macau, Rows::Single, (440, 140)),
        ("VA12345", PlateKind::Military, Rows::Single, (440, 140)),
        ("VA12345", PlateKind::Military, Rows::Double, (440, 220)),
        (
            "WJ苏12345",
            PlateKind::ArmedPolice,
            Rows::Single,
            (440, 140),
        ),
        (
            "民航A1234",
            PlateKind::CivilAviation,
            Rows::Single,
            (440, 140),
        ),
    ];

    #[test]
    fn every_kind_with_a_look_is_drawn_the_same_for_the_same_seed() {
        for (text, kind, rows, size) in SAMPLES {
            let number: PlateNumber = text.parse().unwrap();
            let plate = draw(&number, kind, rows, 1).unwrap();
            assert_eq!((plate.width(), plate.height()), size, "{text}");
            assert!(plate == draw(&number, kind, rows, 1).unwrap(), "{text}");
            assert!(
                plate != draw(&number, kind, rows, 2).unwrap(),
                "{text}: no wear"
            );
        }
    }

    #[test]
    fn every_character_of_the_grammar_has_a_shape_of_its_own() {
        use domain::plate::grammar::{LETTERS, PROVINCES};
        let all: Vec<char> = PROVINCES
            .chars()
            .chain(LETTERS.chars())
            .chain("0123456789学警使领港澳挂民航应急".chars())
            .collect();
        let masks: Vec<Vec<f32>> = all.iter().map(|&c| mask(c, 45, 90, 10.5).ink).collect();
        for (i, a) in masks.iter().enumerate() {
            assert!(a.iter().sum::<f32>() > 300.0, "{} has no ink", all[i]);
            for (j, b) in masks.iter().enumerate().skip(i + 1) {
                let apart: f32 = a.iter().zip(b).map(|(x, y)| (x - y).abs()).sum();
                assert!(
                    apart > 90.0,
                    "{} and {} differ by {apart} mm² only",
                    all[i],
                    all[j]
                );
            }
        }
    }

    #[test]
    fn what_has_no_look_is_refused_with_the_reason() {
        let small: PlateNumber = "苏E12345".parse().unwrap();
        let wrong = draw(&small, PlateKind::Police, Rows::Single, 0).unwrap_err();
        assert!(matches!(
            wrong,
            PlateLookError::Form {
                possible: PlateKind::Small,
                ..
            }
        ));
        for (kind, rows) in [
            (PlateKind::Small, Rows::Double),
            (PlateKind::Temporary, Rows::Single),
        ] {
            let refused = draw(&small, kind, rows, 0).unwrap_err();
            assert_eq!(refused, PlateLookError::NoLook { kind, rows });
        }
    }

    #[test]
    fn the_ground_shows_and_characters_stand_out() {
        let number: PlateNumber = "苏E12345".parse().unwrap();
        let plate = draw(&number, PlateKind::Small, Rows::Single, 3).unwrap();
        let [r, _, b] = plate.get(220, 125);
        assert!(b > 150 && r < 60, "the ground is blue");
        let white = plate
            .rgb()
            .chunks(3)
            .filter(|p| p.iter().all(|&v| v > 180))
            .count();
        assert!((5_000..25_000).contains(&white), "{white} mm² of white");
    }
}
