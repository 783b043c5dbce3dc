//! A plate as a poor camera shows it: small, turned, blurred, dim, dirty, noisy, packed hard.
//!
//! ```text
//! flat plate ─► dirt ─► perspective ─► light ─► focus, movement ─► noise ─► JPEG ─► picture, corners
//! ```
//!
//! The same seed gives the same pictures.

use domain::{PlateKind, PlateNumber};
use image::ImageFormat;
use rand::{Rng, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{PlateLookError, Rows};
use crate::canvas::Shape;
use crate::picture::Picture;
use crate::warp::Texture;

/// Why pictures of a plate cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PoorError {
    /// It has no look.
    #[error(transparent)]
    Look(#[from] PlateLookError),
    /// A picture could not be packed or unpacked.
    #[error("a picture cannot be packed as JPEG: {0}")]
    Jpeg(#[from] image::ImageError),
}

/// `looks` pictures of one plate, one after the other, in poor conditions that stay the same, by a
/// camera in whose pictures the characters are `character` pixels high.
///
/// # Errors
/// [`PoorError`], if such a plate has no look.
pub fn shots(
    number: &PlateNumber,
    kind: PlateKind,
    rows: Rows,
    (character, looks): (f32, u32),
    seed: u64,
) -> Result<Vec<Shot>, PoorError> {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let flat = super::draw(number, kind, rows, dice.random())?;
    let sight = Sight::poor(character, &mut dice);
    let plate = Seen::new(flat, rows, &sight, &mut dice);
    (0..looks)
        .map(|_| Ok(plate.shot(&sight, &mut dice)?))
        .collect()
}

/// How a vehicle's plate is seen as long as it stands there.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sight {
    /// How high a character is, in pixels of the picture.
    character: f32,
    /// How far the plate is turned to the side, in radians.
    yaw: f32,
    /// How far it is seen from above, in radians.
    pitch: f32,
    /// How far the picture is rolled, in radians.
    roll: f32,
    /// Standard deviation of the lens's blur, in pixels.
    blur: f32,
    /// How far it moves while the picture is taken, in pixels.
    smear: f32,
    /// What is left of the light, 1 being a fair day.
    light: f32,
    /// Standard deviation of a pixel's noise, of 255.
    noise: f32,
    /// Whether the camera sees by infrared: no colour.
    infrared: bool,
    /// How many spots of dirt lie on it.
    dirt: u32,
    /// How bright a lamp mirrors in it, of 255; 0 is none.
    glare: f32,
    /// JPEG quality, 1 to 100.
    quality: u8,
}

impl Sight {
    /// A poor sight of a plate whose characters are `character` pixels high.
    fn poor(character: f32, dice: &mut impl Rng) -> Self {
        let infrared = dice.random_bool(0.2);
        Self {
            character,
            yaw: dice.random_range(-0.6..0.6),
            pitch: dice.random_range(-0.3..0.3),
            roll: dice.random_range(-0.12..0.12),
            blur: dice.random_range(0.3..0.4 + 0.07 * character),
            smear: if dice.random_bool(0.5) {
                dice.random_range(0.0..0.2 * character)
            } else {
                0.0
            },
            light: dice.random_range(0.25..1.1),
            noise: dice.random_range(2.0..16.0),
            infrared,
            dirt: if dice.random_bool(0.3) {
                dice.random_range(1..5)
            } else {
                0
            },
            glare: if dice.random_bool(0.15) {
                dice.random_range(40.0..160.0)
            } else {
                0.0
            },
            quality: dice.random_range(20..75),
        }
    }
}

/// One picture of a plate.
#[derive(Debug, Clone)]
pub struct Shot {
    /// The picture: the plate in the middle, a vehicle's paint around it.
    pub picture: Picture,
    /// The plate's corners in it, clockwise from top left.
    pub corners: [[f32; 2]; 4],
    /// The corners as a finder may mark them: off by 3 % of the plate's height (one standard
    /// deviation) each way.
    pub marked: [[f32; 2]; 4],
}

/// A vehicle's plate, ready to be seen again and again with the same dirt on it.
struct Seen {
    plate: Texture,
    size: [f32; 2],
    character: f32,
    paint: [u8; 3],
}

impl Seen {
    /// A flat plate with the dirt of a sight on it, on a vehicle of a random colour.
    fn new(mut flat: Picture, rows: Rows, sight: &Sight, dice: &mut impl Rng) -> Self {
        let size = [flat.width() as f32, flat.height() as f32];
        let mut shape = Shape::default();
        for _ in 0..sight.dirt {
            let (x, y) = (
                dice.random_range(0.0..size[0]),
                dice.random_range(0.0..size[1]),
            );
            let (wide, high) = (dice.random_range(8.0..40.0), dice.random_range(6.0..25.0));
            shape.ellipse(x, y, wide, high);
            let mud = [96, 84, 70].map(|v: u8| v + dice.random_range(0..30));
            shape.fill(&mut flat, mud, dice.random_range(0.3..0.8));
        }
        let tone: u8 = dice.random_range(20..220);
        Self {
            plate: Texture::new(flat),
            size,
            // Of the serial's characters, in millimetres.
            character: match rows {
                Rows::Single => 90.0,
                Rows::Double => 110.0,
            },
            paint: std::array::from_fn(|_| tone.saturating_add(dice.random_range(0..30))),
        }
    }

    /// Takes a picture. The vehicle has moved a little since the one before, by the dice.
    fn shot(&self, sight: &Sight, dice: &mut impl Rng) -> Result<Shot, image::ImageError> {
        let corners = self.corners(sight, dice);
        let bounds = |axis: usize| {
            let on = corners.map(|p| p[axis]);
            (
                on.into_iter().fold(f32::MAX, f32::min),
                on.into_iter().fold(f32::MIN, f32::max),
            )
        };
        let ((left, right), (top, bottom)) = (bounds(0), bounds(1));
        // As much around it as the reader's networks look at, and a little more.
        let around = 0.5 * (bottom - top);
        let (width, height) = (right - left + 2.0 * around, bottom - top + 2.0 * around);
        let corners = corners.map(|[x, y]| [x - left + around, y - top + around]);
        let mut picture = Picture::filled(width.ceil() as u32, height.ceil() as u32, self.paint);
        let tint: [f32; 3] = std::array::from_fn(|_| dice.random_range(0.92..1.05));
        self.plate.lay(&mut picture, corners, |rgb| rgb);
        let mut light = Light::of(&picture, sight, tint);
        if sight.glare > 0.0 {
            light.glare(sight.glare, dice);
        }
        light.blur(sight.blur);
        light.smear(sight.smear);
        let picture = light.developed(sight, dice);
        let packed = picture.to_jpeg(sight.quality)?;
        let unpacked = image::load_from_memory_with_format(&packed, ImageFormat::Jpeg)?.to_rgb8();
        let mut picture = picture;
        picture.bytes_mut().copy_from_slice(unpacked.as_raw());
        let off = 0.03 * (corners[3][1] - corners[0][1]);
        let marked = corners.map(|corner| corner.map(|v| v + off * normal(dice)));
        Ok(Shot {
            picture,
            corners,
            marked,
        })
    }

    /// Where the corners of the turned plate are seen, around the origin, in pixels.
    fn corners(&self, sight: &Sight, dice: &mut impl Rng) -> [[f32; 2]; 4] {
        /// From the camera to the plate, in millimetres.
        const AWAY: f32 = 3000.0;
        let mut a_little = |angle: f32| angle + dice.random_range(-0.02..0.02);
        let (sin_y, cos_y) = a_little(sight.yaw).sin_cos();
        let (sin_p, cos_p) = a_little(sight.pitch).sin_cos();
        let (sin_r, cos_r) = a_little(sight.roll).sin_cos();
        let scale = sight.character / self.character;
        let off = [dice.random_range(0.0..1.0), dice.random_range(0.0..1.0)];
        let [w, h] = self.size.map(|side| side / 2.0);
        [[-w, -h], [w, -h], [w, h], [-w, h]].map(|[x, y]| {
            let (x, z) = (x * cos_y, x * sin_y);
            let (y, z) = (y * cos_p - z * sin_p, y * sin_p + z * cos_p);
            let near = AWAY / (AWAY + z) * scale;
            let (x, y) = (x * near, y * near);
            [
                x * cos_r - y * sin_r + off[0],
                x * sin_r + y * cos_r + off[1],
            ]
        })
    }
}

/// What falls on the sensor, before noise: 0 to 255 a channel, and above.
struct Light {
    width: usize,
    height: usize,
    values: Vec<[f32; 3]>,
}

impl Light {
    fn of(picture: &Picture, sight: &Sight, tint: [f32; 3]) -> Self {
        let values = picture.rgb().chunks_exact(3).map(|p| {
            let rgb = [p[0], p[1], p[2]].map(f32::from);
            let rgb = if sight.infrared {
                [0.3 * rgb[0] + 0.59 * rgb[1] + 0.11 * rgb[2]; 3]
            } else {
                std::array::from_fn(|i| rgb[i] * tint[i])
            };
            rgb.map(|v| v * sight.light)
        });
        Self {
            width: picture.width() as usize,
            height: picture.height() as usize,
            values: values.collect(),
        }
    }

    /// A lamp that mirrors somewhere in the picture.
    fn glare(&mut self, bright: f32, dice: &mut impl Rng) {
        let (cx, cy) = (
            dice.random_range(0.2..0.8) * self.width as f32,
            dice.random_range(0.2..0.8) * self.height as f32,
        );
        let reach = dice.random_range(0.1..0.4) * self.height as f32;
        for (at, value) in self.values.iter_mut().enumerate() {
            let (x, y) = ((at % self.width) as f32, (at / self.width) as f32);
            let far = ((x - cx).powi(2) + (y - cy).powi(2)) / (2.0 * reach * reach);
            let more = bright * (-far).exp();
            *value = value.map(|v| v + more);
        }
    }

    /// The mean of the pixels in a row or column around each one, with these weights.
    fn weighed(&mut self, weights: &[f32], across: bool) {
        let reach = (weights.len() / 2) as isize;
        let total: f32 = weights.iter().sum();
        let (width, height) = (self.width as isize, self.height as isize);
        let mut out = Vec::with_capacity(self.values.len());
        for y in 0..height {
            for x in 0..width {
                let mut sum = [0.0_f32; 3];
                for (weight, step) in weights.iter().zip(-reach..) {
                    let (sx, sy) = if across { (x + step, y) } else { (x, y + step) };
                    let (sx, sy) = (sx.clamp(0, width - 1), sy.clamp(0, height - 1));
                    let value = self.values[(sy * width + sx) as usize];
                    for (s, v) in sum.iter_mut().zip(value) {
                        *s += v * weight;
                    }
                }
                out.push(sum.map(|s| s / total));
            }
        }
        self.values = out;
    }

    fn blur(&mut self, deviation: f32) {
        let reach = (2.5 * deviation).ceil() as i32;
        let weights: Vec<f32> = (-reach..=reach)
            .map(|i| (-(i * i) as f32 / (2.0 * deviation * deviation).max(1e-3)).exp())
            .collect();
        self.weighed(&weights, true);
        self.weighed(&weights, false);
    }

    /// Movement along the rows.
    fn smear(&mut self, pixels: f32) {
        let reach = (pixels / 2.0).ceil() as i32;
        if reach == 0 {
            return;
        }
        let weights: Vec<f32> = (-reach..=reach)
            .map(|i| (pixels / 2.0 + 0.5 - i.abs() as f32).clamp(0.0, 1.0))
            .collect();
        self.weighed(&weights, true);
    }

    /// With the sensor's noise, in whole numbers.
    fn developed(&self, sight: &Sight, dice: &mut impl Rng) -> Picture {
        let mut picture = Picture::filled(self.width as u32, self.height as u32, [0; 3]);
        for (pixel, value) in picture.bytes_mut().chunks_exact_mut(3).zip(&self.values) {
            let mut grain = || normal(dice) * sight.noise;
            let common = grain();
            for (place, v) in pixel.iter_mut().zip(value) {
                let own = if sight.infrared { 0.0 } else { 0.5 * grain() };
                *place = (v + common + own).round().clamp(0.0, 255.0) as u8;
            }
        }
        picture
    }
}

/// A throw of deviation 1: the sum of four even ones is near enough to a normal one.
fn normal(dice: &mut impl Rng) -> f32 {
    let throw: f32 = (0..4).map(|_| dice.random_range(-1.0..1.0_f32)).sum();
    throw * 0.866
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn shot(character: f32, seed: u64) -> Shot {
        let number = PlateNumber::parse("苏E12345").unwrap();
        let looks = (character, 2);
        let mut shots = shots(&number, PlateKind::Small, Rows::Single, looks, seed).unwrap();
        assert!(shots[0].picture != shots[1].picture);
        shots.swap_remove(0)
    }

    #[test]
    fn the_same_seed_gives_the_same_picture_and_another_seed_another() {
        let (one, again, other) = (shot(16.0, 1), shot(16.0, 1), shot(16.0, 2));
        assert!(one.picture == again.picture && one.corners == again.corners);
        assert!(one.picture != other.picture);
    }

    #[test]
    fn the_plate_lies_within_and_is_as_large_as_was_asked() {
        for seed in 0..40 {
            let character = [24.0, 16.0, 8.0][seed as usize % 3];
            let Shot {
                picture, corners, ..
            } = shot(character, seed);
            let (width, height) = (picture.width() as f32, picture.height() as f32);
            for [x, y] in corners {
                assert!((0.0..=width).contains(&x) && (0.0..=height).contains(&y));
            }
            let side = |a: usize, b: usize| {
                (corners[a][0] - corners[b][0]).hypot(corners[a][1] - corners[b][1])
            };
            // 140 mm high with characters of 90; seen at up to 0.3 rad and in perspective.
            let high = f32::midpoint(side(0, 3), side(1, 2));
            let ratio = high / (character * 140.0 / 90.0);
            assert!((0.9..1.1).contains(&ratio), "seed {seed}: {ratio}");
        }
    }
}
