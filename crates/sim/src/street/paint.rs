//! From a view to the camera's picture.
//!
//! ```text
//! backdrop (once a light) ─► car, plate ─► boom ─► glow ─► rain ─► sensor noise
//! ```
//!
//! Everything is painted in daylight colours that pass through [`Tone`] on their way: how much
//! light there is, its colour, and what the gate's lamp adds near the boom.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::backdrop;
use super::script::{Light, Script};
use super::space::{BOOM, outline, scale};
use super::vehicle::{self, Pose};
use super::world::View;
use super::{HEIGHT, WIDTH};
use crate::canvas::Shape;
use crate::picture::Picture;
use crate::plate;
use crate::warp::Texture;

/// Bytes of the noise that is laid over frames; a frame begins at a random place in it.
const NOISE: usize = 1 << 20;

/// What light does to a daylight colour.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tone {
    ambient: [f32; 3],
    lamp: [f32; 3],
    /// How much colour is left: 1 all, 0 grey.
    colour: f32,
}

impl Tone {
    pub(super) fn of(light: Light) -> Self {
        let (ambient, lamp, colour) = match light {
            Light::Day => ([1.0, 1.0, 0.98], [0.0; 3], 1.0),
            Light::Dusk => ([0.74, 0.60, 0.52], [0.18, 0.14, 0.08], 0.95),
            Light::Rain => ([0.70, 0.74, 0.78], [0.0; 3], 0.75),
            Light::Night => ([0.15, 0.18, 0.27], [0.74, 0.65, 0.48], 0.85),
            Light::NightRain => ([0.15, 0.17, 0.24], [0.66, 0.58, 0.45], 0.8),
        };
        Self {
            ambient,
            lamp,
            colour,
        }
    }

    /// A colour of 0 to 255 a channel, with `lit` (0 to 1) of the gate's lamp upon it.
    pub(super) fn shade(&self, rgb: [f32; 3], lit: f32) -> [f32; 3] {
        let grey = 0.3 * rgb[0] + 0.59 * rgb[1] + 0.11 * rgb[2];
        std::array::from_fn(|i| {
            let saturated = grey + (rgb[i] - grey) * self.colour;
            saturated * (self.ambient[i] + self.lamp[i] * lit)
        })
    }

    /// As bytes, brightened by `k` first.
    pub(super) fn bytes(&self, rgb: [u8; 3], k: f32, lit: f32) -> [u8; 3] {
        self.shade(rgb.map(|v| f32::from(v) * k), lit)
            .map(|v| v.clamp(0.0, 255.0) as u8)
    }
}

/// How much of the gate's lamp reaches something `distance` metres before the boom.
fn lamp_at(distance: f32) -> f32 {
    1.0 / (1.0 + (distance.max(0.0) / 5.5).powi(2))
}

/// Paints views; keeps what does not change from frame to frame.
pub struct Painter {
    script: Script,
    backdrops: Vec<(Light, Picture)>,
    plates: Vec<Option<Texture>>,
    noise: Vec<i8>,
    shape: Shape,
}

impl Painter {
    /// A painter for one script.
    pub fn new(script: &Script) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(script.seed ^ 0x5eed);
        let noise = (0..NOISE)
            .map(|_| {
                // Four dice make a bell: standard deviation 16 of 128.
                let sum: i32 = (0..4).map(|_| rng.random_range(-14..=14)).sum();
                sum as i8
            })
            .collect();
        let plates = script
            .vehicles
            .iter()
            .enumerate()
            .map(|(i, v)| {
                plate::draw(&v.plate, v.kind, v.rows, script.seed.wrapping_add(i as u64))
                    .ok()
                    .map(Texture::new)
            })
            .collect();
        Self {
            script: script.clone(),
            backdrops: Vec::new(),
            plates,
            noise,
            shape: Shape::default(),
        }
    }

    /// The frame that the camera takes of `view`: 1280 x 720. The same script and view always
    /// give the same picture.
    pub fn paint(&mut self, view: &View) -> Picture {
        let mut picture = self.backdrop(view.light).clone();
        if let Some((before, left)) = view.fading {
            mix(&mut picture, self.backdrop(before), left);
        }
        let tone = Tone::of(view.light);
        let mut rng = ChaCha8Rng::seed_from_u64(
            self.script.seed.rotate_left(32) ^ view.now.as_millis() as u64,
        );
        self.car(&mut picture, view, &tone);
        self.boom(&mut picture, view, &tone);
        if view.light.rains() {
            rain(&mut picture, &mut self.shape, &mut rng, view.light);
        }
        self.grain(&mut picture, view.light, &mut rng);
        picture
    }

    fn backdrop(&mut self, light: Light) -> &Picture {
        let at = if let Some(at) = self.backdrops.iter().position(|(l, _)| *l == light) {
            at
        } else {
            self.backdrops
                .push((light, backdrop::paint(light, self.script.seed)));
            self.backdrops.len() - 1
        };
        &self.backdrops[at].1
    }

    fn car(&mut self, picture: &mut Picture, view: &View, tone: &Tone) {
        let Some(car) = view.car else { return };
        let Some(vehicle) = self.script.vehicles.get(car.vehicle) else {
            return;
        };
        let pose = Pose::new(vehicle, &car);
        let lit = lamp_at(car.distance);
        let shadow = if matches!(view.light, Light::Day | Light::Dusk) {
            0.5
        } else {
            0.32
        };
        self.shape.polygon(&pose.shadow());
        self.shape.fill(picture, [10, 10, 14], shadow);
        let lights = view.light.headlights();
        vehicle::paint(picture, &pose, vehicle, lights, &|rgb, k| {
            tone.bytes(rgb, k, lit)
        });
        if lights {
            for (at, z) in pose.headlights() {
                if z > 1.0 {
                    let reach = (scale(z) * 0.16).min(90.0);
                    glow(picture, at, reach * 2.2, [255.0, 246.0, 220.0], 0.45);
                    glow(picture, at, reach * 0.8, [255.0, 252.0, 240.0], 0.9);
                    if view.light.rains() {
                        let wet = [at[0], at[1] + scale(z) * 0.75];
                        glow(picture, wet, reach * 1.5, [255.0, 240.0, 210.0], 0.22);
                    }
                }
            }
        }
        // A plate throws light back to where it comes from: brighter than paint at night.
        let eight = vehicle.plate.as_str().chars().count() == 8;
        if let (Some(texture), Some(quad)) = (
            self.plates[car.vehicle].as_ref(),
            pose.plate(vehicle.rows, eight),
        ) {
            let back = if lights { 0.25 + lit } else { lit };
            texture.lay(picture, quad, |rgb| tone.shade(rgb, back));
        }
    }

    fn boom(&mut self, picture: &mut Picture, view: &View, tone: &Tone) {
        const PIVOT: [f32; 2] = [1.62, 0.96];
        let angle = view.boom_open * 86.0_f32.to_radians();
        let (sin, cos) = angle.sin_cos();
        let lamp = 0.9;
        // Along the arm and across it, in metres from the pivot.
        let point = |along: f32, across: f32| {
            [
                PIVOT[0] - along * cos + across * sin,
                PIVOT[1] + along * sin + across * cos,
                BOOM,
            ]
        };
        let mut bar = |from: f32, to: f32, half: f32, rgb: [u8; 3], k: [f32; 2]| {
            self.shape.polygon(&outline(&[
                point(from, half),
                point(to, half),
                point(to, -half),
                point(from, -half),
            ]));
            let (top, bottom) = (tone.bytes(rgb, k[0], lamp), tone.bytes(rgb, k[1], lamp));
            self.shape.fill_fading(picture, top, bottom, 1.0);
        };
        bar(-0.35, 0.05, 0.07, [52, 54, 58], [1.0, 0.7]);
        for i in 0..9 {
            let rgb = if i % 2 == 0 {
                [204, 36, 34]
            } else {
                [240, 240, 236]
            };
            let from = 0.05 + 0.42 * i as f32;
            bar(from, from + 0.42, 0.042, rgb, [1.05, 0.78]);
        }
        // The cabinet stands before the arm.
        let [x, _] = PIVOT;
        let face = |x0: f32, y0: f32, x1: f32, y1: f32| {
            let z = BOOM - 0.12;
            outline(&[[x0, y1, z], [x1, y1, z], [x1, y0, z], [x0, y0, z]])
        };
        let mut panel = |points: Vec<[f32; 2]>, rgb: [u8; 3], top: f32, bottom: f32| {
            self.shape.polygon(&points);
            let (top, bottom) = (tone.bytes(rgb, top, lamp), tone.bytes(rgb, bottom, lamp));
            self.shape.fill_fading(picture, top, bottom, 1.0);
        };
        panel(
            face(x - 0.17, 0.0, x + 0.19, 1.08),
            [236, 126, 32],
            1.0,
            0.72,
        );
        panel(face(x - 0.17, 1.04, x + 0.19, 1.10), [60, 62, 66], 1.2, 0.9);
        panel(
            face(x - 0.17, 0.70, x + 0.19, 0.78),
            [244, 244, 240],
            1.0,
            0.95,
        );
        panel(
            face(x - 0.11, 0.40, x + 0.13, 0.62),
            [214, 110, 26],
            0.95,
            0.8,
        );
        // The signal lamp: red while the boom is not up.
        let green = view.boom_open > 0.85;
        let rgb = if green { [60, 235, 110] } else { [245, 52, 44] };
        let at = super::space::project([x + 0.01, 1.18, BOOM - 0.12]);
        self.shape.ellipse(at[0], at[1], 24.0, 24.0);
        self.shape.fill(picture, [34, 35, 38], 1.0);
        self.shape.ellipse(at[0], at[1], 17.0, 17.0);
        self.shape.fill(picture, rgb, 1.0);
        glow(picture, at, 60.0, rgb.map(f32::from), 0.35);
    }

    fn grain(&self, picture: &mut Picture, light: Light, rng: &mut ChaCha8Rng) {
        // Of 16 a grain's standard deviation, in sixteenths.
        let level: i16 = match light {
            Light::Day => 2,
            Light::Dusk | Light::Rain => 3,
            Light::Night | Light::NightRain => 6,
        };
        let mut from = rng.random_range(0..NOISE);
        let mut bytes = picture.bytes_mut();
        while !bytes.is_empty() {
            let count = bytes.len().min(NOISE - from);
            let (now, later) = bytes.split_at_mut(count);
            for (byte, grain) in now.iter_mut().zip(&self.noise[from..]) {
                let noisy = i16::from(*byte) + ((i16::from(*grain) * level) >> 4);
                *byte = noisy.clamp(0, 255) as u8;
            }
            bytes = later;
            from = 0;
        }
    }
}

/// `share` of the second picture into the first.
fn mix(picture: &mut Picture, other: &Picture, share: f32) {
    let k = (share.clamp(0.0, 1.0) * 256.0) as i32;
    for (a, b) in picture.bytes_mut().iter_mut().zip(other.rgb()) {
        *a = (i32::from(*a) + (((i32::from(*b) - i32::from(*a)) * k) >> 8)) as u8;
    }
}

/// Adds a soft round light.
pub(super) fn glow(
    picture: &mut Picture,
    [cx, cy]: [f32; 2],
    radius: f32,
    rgb: [f32; 3],
    strength: f32,
) {
    let (w, h) = (WIDTH as f32, HEIGHT as f32);
    let xs = (cx - radius).clamp(0.0, w) as usize..(cx + radius).clamp(0.0, w) as usize;
    let ys = (cy - radius).clamp(0.0, h) as usize..(cy + radius).clamp(0.0, h) as usize;
    let bytes = picture.bytes_mut();
    for y in ys {
        for x in xs.clone() {
            let r2 = ((x as f32 - cx).powi(2) + (y as f32 - cy).powi(2)) / (radius * radius);
            if r2 < 1.0 {
                let k = strength * (1.0 - r2) * (1.0 - r2);
                let at = (y * WIDTH as usize + x) * 3;
                for (byte, v) in bytes[at..at + 3].iter_mut().zip(rgb) {
                    *byte = (f32::from(*byte) + v * k).min(255.0) as u8;
                }
            }
        }
    }
}

fn rain(picture: &mut Picture, shape: &mut Shape, rng: &mut ChaCha8Rng, light: Light) {
    let (count, rgb, alpha) = if light == Light::Rain {
        (170, [218, 224, 230], 0.30)
    } else {
        (150, [170, 172, 176], 0.26)
    };
    for _ in 0..count {
        let near: f32 = rng.random_range(0.25..1.0);
        let x = rng.random_range(-40.0..WIDTH as f32);
        let y = rng.random_range(-80.0..HEIGHT as f32);
        let length = 26.0 + 60.0 * near;
        shape.line([x, y], [x + length * 0.14, y + length], 0.6 + 0.9 * near);
        shape.fill(picture, rgb, alpha * (0.4 + 0.6 * near));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::street::Street;
    use std::time::Duration;

    fn script(seed: u64) -> Script {
        Script::generate(seed, jiff::civil::date(2026, 3, 1))
    }

    /// A view of the first vehicle as it waits.
    fn waiting(script: &Script) -> View {
        let mut street = Street::new(script.clone());
        while !street.view().car.is_some_and(|c| c.braking) {
            street.step(Duration::from_millis(100), 0.0);
        }
        street.view()
    }

    #[test]
    fn the_same_view_gives_the_same_bytes_whatever_was_painted_before() {
        let script = script(3);
        let view = waiting(&script);
        let mut one = Painter::new(&script);
        let mut two = Painter::new(&script);
        let rain = View {
            light: Light::NightRain,
            fading: Some((Light::Day, 0.5)),
            ..view
        };
        let first = one.paint(&view);
        two.paint(&rain);
        assert!(first == two.paint(&view));
        assert!(one.paint(&rain) == two.paint(&rain));
        assert_eq!((first.width(), first.height()), (WIDTH, HEIGHT));
    }

    #[test]
    fn light_boom_car_and_time_show() {
        let script = script(3);
        let view = waiting(&script);
        let mut painter = Painter::new(&script);
        let seen = painter.paint(&view);
        let mean =
            |p: &Picture| p.rgb().iter().map(|&v| u64::from(v)).sum::<u64>() / p.rgb().len() as u64;
        let changed = |other: &Picture| {
            let pairs = seen.rgb().iter().zip(other.rgb());
            pairs.filter(|(a, b)| a.abs_diff(**b) > 24).count()
        };
        let night = painter.paint(&View {
            light: Light::Night,
            ..view
        });
        assert!(
            mean(&night) + 30 < mean(&seen),
            "{} {}",
            mean(&night),
            mean(&seen)
        );
        let open = painter.paint(&View {
            boom_open: 1.0,
            ..view
        });
        assert!(changed(&open) > 40_000);
        let empty = painter.paint(&View { car: None, ..view });
        assert!(changed(&empty) > 200_000);
        let later = painter.paint(&View {
            now: view.now + Duration::from_millis(100),
            ..view
        });
        assert!(later != seen, "a camera's picture never stands quite still");
        assert!(changed(&later) < 1000);
    }

    #[test]
    fn no_view_however_odd_makes_it_fail() {
        let script = script(5);
        let mut painter = Painter::new(&script);
        let view = waiting(&script);
        for vehicle in [0, 4, 8, 9] {
            for distance in [-30.0, -9.0, -4.3, -4.0, -1.0, 0.0, 16.0, 400.0] {
                let car = view.car.map(|c| super::super::VisibleCar {
                    vehicle,
                    distance,
                    ..c
                });
                let light = Light::NightRain;
                painter.paint(&View { car, light, ..view });
            }
        }
    }
}
