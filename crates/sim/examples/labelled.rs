//! Writes a small labelled set for `menshen eval`: pictures and `labels.csv`.
//!
//! ```text
//! cargo run --release -p sim --example labelled -- models/samples [SEED]
//! ```
//!
//! Scenes are views of the street through cameras of several sizes and tilts, in day, dusk, rain,
//! night and infrared; cut-outs are plates of every look that the reader knows, small, blurred,
//! dark, grey, tilted. Some streets have no plate. The seed of the set in this repository is 1;
//! the same seed gives the same pictures.

#![allow(
    clippy::many_single_char_names,
    reason = "geometry: x, y, w, h are its own names"
)]

use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use domain::plate::grammar::{LETTERS, PROVINCES, Place, TABLE};
use domain::{PlateKind, PlateNumber};
use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sim::picture::Picture;
use sim::plate::{self, Rows};
use sim::street::{Body, HEIGHT, Light, Painter, Script, View, VisibleCar, WIDTH};

/// Width and height of a scene in pixels.
const SCENE: (u32, u32) = (640, 360);
/// JPEG quality of all pictures.
const QUALITY: u8 = 72;

/// Every look that can be drawn and that the reader has characters for.
const LOOKS: [(PlateKind, Rows); 15] = [
    (PlateKind::Small, Rows::Single),
    (PlateKind::Large, Rows::Single),
    (PlateKind::Large, Rows::Double),
    (PlateKind::NewEnergySmall, Rows::Single),
    (PlateKind::NewEnergyLarge, Rows::Single),
    (PlateKind::Coach, Rows::Single),
    (PlateKind::Trailer, Rows::Double),
    (PlateKind::Police, Rows::Single),
    (PlateKind::Embassy, Rows::Single),
    (PlateKind::Consulate, Rows::Single),
    (PlateKind::HongKong, Rows::Single),
    (PlateKind::Macau, Rows::Single),
    (PlateKind::Military, Rows::Single),
    (PlateKind::Military, Rows::Double),
    (PlateKind::ArmedPolice, Rows::Single),
];

/// How a picture is lit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lit {
    By(Light),
    Infrared,
}

impl Lit {
    /// The word in the label file.
    fn word(self) -> &'static str {
        match self {
            Self::Infrared => "infrared",
            Self::By(Light::Day) => "day",
            Self::By(Light::Dusk) => "dusk",
            Self::By(Light::Rain) => "rain",
            Self::By(Light::Night) => "night",
            Self::By(Light::NightRain) => "night-rain",
        }
    }
}

/// Corners in pixels, clockwise from top left.
type Quad = [[f32; 2]; 4];

/// One labelled picture.
struct Sample {
    picture: RgbImage,
    plates: Vec<(PlateNumber, PlateKind)>,
    corners: Vec<Quad>,
    lit: Lit,
    cut: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let out = PathBuf::from(args.next().ok_or("give the folder to write into")?);
    let seed = args.next().map_or(Ok(1), |s| s.parse())?;
    std::fs::create_dir_all(&out)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut samples = scenes(&mut rng, seed)?;
    samples.extend(without_plate(&mut rng, seed, samples.len())?);
    samples.push(two_cameras(&samples)?);
    samples.extend(cuts(&mut rng)?);
    let mut table = String::from("path,plate,corners,kind,light,cut\n");
    let mut bytes = 0;
    for (number, sample) in samples.iter().enumerate() {
        let sort = match (sample.cut, sample.plates.is_empty()) {
            (true, _) => "cut",
            (false, true) => "street",
            (false, false) => "scene",
        };
        let name = format!("{number:02}-{sort}-{}.jpg", sample.lit.word());
        let mut jpeg = Vec::new();
        let encoder = JpegEncoder::new_with_quality(&mut jpeg, QUALITY);
        sample.picture.write_with_encoder(encoder)?;
        bytes += jpeg.len();
        std::fs::write(out.join(&name), jpeg)?;
        row(&mut table, &name, sample)?;
    }
    std::fs::write(out.join("labels.csv"), table)?;
    println!("{} pictures, {} kB", samples.len(), bytes / 1000);
    Ok(())
}

fn row(table: &mut String, name: &str, sample: &Sample) -> Result<(), Box<dyn Error>> {
    let plates: Vec<&str> = sample.plates.iter().map(|(n, _)| n.as_str()).collect();
    let kinds: Vec<&str> = sample.plates.iter().map(|(_, k)| k.english()).collect();
    let corners: Vec<String> = sample
        .corners
        .iter()
        .map(|quad| quad.map(|[x, y]| format!("{x:.1},{y:.1}")).join(" "))
        .collect();
    writeln!(
        table,
        "{name},{},\"{}\",{},{},{}",
        plates.join(";"),
        corners.join(";"),
        kinds.join(";"),
        sample.lit.word(),
        if sample.cut { "yes" } else { "no" }
    )?;
    Ok(())
}

/// A number of a kind, of characters that both the font and the reader know.
fn number(rng: &mut ChaCha8Rng, kind: PlateKind) -> Result<PlateNumber, Box<dyn Error>> {
    let patterns: Vec<_> = TABLE
        .iter()
        .filter(|(_, kinds)| kinds.contains(&kind))
        .map(|(pattern, _)| *pattern)
        .collect();
    let pattern = patterns.choose(rng).ok_or("a kind without a pattern")?;
    let all: Vec<char> = PROVINCES
        .chars()
        .chain(LETTERS.chars())
        .chain("0123456789使领警学港澳挂".chars())
        .collect();
    let mut text = String::new();
    for place in *pattern {
        let allowed: Vec<char> = all.iter().copied().filter(|c| place.allows(*c)).collect();
        // Half of the serial's places are digits, as on real plates most are.
        let digit = *place == Place::Serial && rng.random_bool(0.5);
        let digits = || allowed.iter().copied().filter(char::is_ascii_digit);
        let choice: Vec<char> = if digit {
            digits().collect()
        } else {
            allowed.clone()
        };
        text.push(*choice.choose(rng).ok_or("a place without a character")?);
    }
    Ok(PlateNumber::parse(&text)?)
}

/// What comes in which light: kind and rows of the plate, and the body that carries it.
const CARS: [(Lit, PlateKind, Rows, Body); 15] = [
    (
        Lit::By(Light::Day),
        PlateKind::Small,
        Rows::Single,
        Body::Saloon,
    ),
    (
        Lit::By(Light::Day),
        PlateKind::NewEnergySmall,
        Rows::Single,
        Body::Suv,
    ),
    (
        Lit::By(Light::Day),
        PlateKind::Large,
        Rows::Double,
        Body::Truck,
    ),
    (
        Lit::By(Light::Day),
        PlateKind::Police,
        Rows::Single,
        Body::Saloon,
    ),
    (
        Lit::By(Light::Dusk),
        PlateKind::Small,
        Rows::Single,
        Body::Suv,
    ),
    (
        Lit::By(Light::Dusk),
        PlateKind::Coach,
        Rows::Single,
        Body::Saloon,
    ),
    (
        Lit::By(Light::Rain),
        PlateKind::Small,
        Rows::Single,
        Body::Saloon,
    ),
    (
        Lit::By(Light::Rain),
        PlateKind::Large,
        Rows::Single,
        Body::Truck,
    ),
    (
        Lit::By(Light::Rain),
        PlateKind::NewEnergySmall,
        Rows::Single,
        Body::Saloon,
    ),
    (
        Lit::By(Light::Night),
        PlateKind::Small,
        Rows::Single,
        Body::Saloon,
    ),
    (
        Lit::By(Light::Night),
        PlateKind::NewEnergySmall,
        Rows::Single,
        Body::Suv,
    ),
    (
        Lit::By(Light::NightRain),
        PlateKind::Small,
        Rows::Single,
        Body::Suv,
    ),
    (Lit::Infrared, PlateKind::Small, Rows::Single, Body::Saloon),
    (
        Lit::Infrared,
        PlateKind::NewEnergySmall,
        Rows::Single,
        Body::Saloon,
    ),
    (Lit::Infrared, PlateKind::Large, Rows::Double, Body::Truck),
];

/// Streets with a car.
fn scenes(rng: &mut ChaCha8Rng, seed: u64) -> Result<Vec<Sample>, Box<dyn Error>> {
    let mut samples = Vec::new();
    for (lit, kind, rows, body) in CARS {
        let mut stage = Stage::new(rng, seed, samples.len() as u64);
        let number = number(rng, kind)?;
        stage.car(number.clone(), kind, rows, body);
        let view = stage.view(lit, Some(rng.random_range(0.3..4.8)));
        let plated = stage.paint(&view);
        // The same car, but of a kind without a look: what differs is the plate.
        stage.car(number.clone(), PlateKind::Temporary, rows, body);
        let corners = difference(&plated, &stage.paint(&view)).ok_or("no plate was painted")?;
        let camera = Camera::at(rng, &corners);
        samples.push(Sample {
            picture: developed(rng, &camera.take(&plated, SCENE), lit),
            corners: vec![corners.map(|corner| camera.shows(corner))],
            plates: vec![(number, kind)],
            lit,
            cut: false,
        });
    }
    Ok(samples)
}

/// Empty streets, and cars that have no plate; `before` scenes were made before.
fn without_plate(
    rng: &mut ChaCha8Rng,
    seed: u64,
    before: usize,
) -> Result<Vec<Sample>, Box<dyn Error>> {
    let mut samples = Vec::new();
    for (lit, car) in [
        (Lit::By(Light::Day), false),
        (Lit::By(Light::Day), true),
        (Lit::By(Light::Rain), true),
        (Lit::By(Light::Night), false),
        (Lit::By(Light::NightRain), true),
        (Lit::Infrared, true),
    ] {
        let mut stage = Stage::new(rng, seed, (before + samples.len()) as u64);
        let number = number(rng, PlateKind::Small)?;
        stage.car(number, PlateKind::Temporary, Rows::Single, Body::Saloon);
        let distance = rng.random_range(0.3..4.8);
        let picture = stage.paint(&stage.view(lit, car.then_some(distance)));
        let camera = Camera::whole();
        samples.push(Sample {
            picture: developed(rng, &camera.take(&picture, SCENE), lit),
            corners: Vec::new(),
            plates: Vec::new(),
            lit,
            cut: false,
        });
    }
    Ok(samples)
}

/// A street with one car.
struct Stage {
    script: Script,
    painter: Option<Painter>,
    now: Duration,
}

impl Stage {
    fn new(rng: &mut ChaCha8Rng, seed: u64, number: u64) -> Self {
        let script = Script::generate(seed * 1000 + number, jiff::civil::date(2026, 3, 1));
        Self {
            script,
            painter: None,
            now: Duration::from_millis(rng.random_range(0..60_000)),
        }
    }

    /// The first car of the script gets this plate and body.
    fn car(&mut self, number: PlateNumber, kind: PlateKind, rows: Rows, body: Body) {
        if let Some(vehicle) = self.script.vehicles.first_mut() {
            vehicle.plate = number;
            vehicle.kind = kind;
            vehicle.rows = rows;
            vehicle.body = body;
        }
        self.painter = Some(Painter::new(&self.script));
    }

    fn view(&self, lit: Lit, distance: Option<f32>) -> View {
        View {
            now: self.now,
            boom_open: 1.0,
            car: distance.map(|distance| VisibleCar {
                vehicle: 0,
                distance,
                speed: 0.0,
                braking: true,
            }),
            light: match lit {
                Lit::By(light) => light,
                Lit::Infrared => Light::Dusk,
            },
            fading: None,
        }
    }

    fn paint(&mut self, view: &View) -> Picture {
        let painter = self
            .painter
            .get_or_insert_with(|| Painter::new(&self.script));
        painter.paint(view)
    }
}

/// The upright box of what differs. So near the boom cars drive straight ahead, and a plate that
/// faces the camera is an upright box.
fn difference(a: &Picture, b: &Picture) -> Option<Quad> {
    let (mut left, mut top, mut right, mut bottom) = (WIDTH, HEIGHT, 0, 0);
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            if a.get(x, y) != b.get(x, y) {
                (left, right) = (left.min(x), right.max(x + 1));
                (top, bottom) = (top.min(y), bottom.max(y + 1));
            }
        }
    }
    let [l, t, r, b] = [left, top, right, bottom].map(|v| v as f32);
    (left < right).then_some([[l, t], [r, t], [r, b], [l, b]])
}

/// A camera that shows a part of a larger picture: how many of its pixels one of ours is, turned
/// around a point that is seen in a place of ours.
#[derive(Debug, Clone, Copy)]
struct Camera {
    scale: f32,
    angle: f32,
    point: [f32; 2],
    place: [f32; 2],
}

impl Camera {
    /// The whole street, as large as a scene is.
    fn whole() -> Self {
        Self {
            scale: WIDTH as f32 / SCENE.0 as f32,
            angle: 0.0,
            point: [0.0; 2],
            place: [0.0; 2],
        }
    }

    /// A camera that looks at a plate, which stands anywhere in its picture.
    fn at(rng: &mut ChaCha8Rng, quad: &Quad) -> Self {
        Self {
            scale: rng.random_range(0.7..1.5),
            angle: rng.random_range(-8.0_f32..8.0).to_radians(),
            point: [0, 1].map(|i| quad.iter().map(|p| p[i]).sum::<f32>() / 4.0),
            place: [
                rng.random_range(160.0..480.0),
                rng.random_range(120.0..280.0),
            ],
        }
    }

    /// Where a point of the larger picture is seen.
    fn shows(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let (sin, cos) = self.angle.sin_cos();
        let (dx, dy) = (x - self.point[0], y - self.point[1]);
        [
            self.place[0] + (cos * dx + sin * dy) / self.scale,
            self.place[1] + (cos * dy - sin * dx) / self.scale,
        ]
    }

    /// The point of the larger picture that is seen in a place.
    fn sees(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let (sin, cos) = self.angle.sin_cos();
        let (dx, dy) = (x - self.place[0], y - self.place[1]);
        [
            self.point[0] + (cos * dx - sin * dy) * self.scale,
            self.point[1] + (cos * dy + sin * dx) * self.scale,
        ]
    }

    /// The picture it takes; what lies outside the larger one is dark.
    fn take(&self, picture: &Picture, (width, height): (u32, u32)) -> Vec<[f32; 3]> {
        // As many looks at the larger picture as one of our pixels covers.
        let looks = (self.scale.ceil() as u32).max(2);
        let mut pixels = Vec::with_capacity(width as usize * height as usize);
        for y in 0..height {
            for x in 0..width {
                let mut sum = [0.0; 3];
                for look in 0..looks * looks {
                    let part = |i: u32| (i as f32 + 0.5) / looks as f32;
                    let at = [x as f32 + part(look % looks), y as f32 + part(look / looks)];
                    let colour = between(picture, self.sees(at));
                    for (s, c) in sum.iter_mut().zip(colour) {
                        *s += c / (looks * looks) as f32;
                    }
                }
                pixels.push(sum);
            }
        }
        pixels
    }
}

/// The colour at a point, mixed of the four pixels around it.
fn between(picture: &Picture, [x, y]: [f32; 2]) -> [f32; 3] {
    /// What is around a plate or a picture.
    const AROUND: [f32; 3] = [40.0, 42.0, 46.0];
    let (x, y) = (x - 0.5, y - 0.5);
    let (left, top) = (x.floor(), y.floor());
    let pixel = |dx: f32, dy: f32| {
        let (x, y) = (left + dx, top + dy);
        let inside =
            x >= 0.0 && y >= 0.0 && x < picture.width() as f32 && y < picture.height() as f32;
        if inside {
            picture.get(x as u32, y as u32).map(f32::from)
        } else {
            AROUND
        }
    };
    let (u, v) = (x - left, y - top);
    let [a, b, c, d] = [
        pixel(0.0, 0.0),
        pixel(1.0, 0.0),
        pixel(0.0, 1.0),
        pixel(1.0, 1.0),
    ];
    std::array::from_fn(|i| {
        let upper = a[i] + (b[i] - a[i]) * u;
        let lower = c[i] + (d[i] - c[i]) * u;
        upper + (lower - upper) * v
    })
}

/// A scene as its camera gives it: infrared is grey and bright in the middle.
fn developed(rng: &mut ChaCha8Rng, pixels: &[[f32; 3]], lit: Lit) -> RgbImage {
    let (width, height) = SCENE;
    let seen = pixels.iter().enumerate().map(|(i, &rgb)| {
        if lit != Lit::Infrared {
            return rgb;
        }
        let (x, y) = (i as u32 % width, i as u32 / width);
        let dx = (x as f32 / width as f32 - 0.5) * 1.6;
        let dy = (y as f32 / height as f32 - 0.5) * 1.2;
        let lamp = 1.35 / (1.0 + 2.0 * (dx * dx + dy * dy));
        [grey(rgb) * lamp + rng.random_range(-7.0..7.0); 3]
    });
    let rgb: Vec<[f32; 3]> = seen.collect();
    filled(width, height, &rgb)
}

fn grey([r, g, b]: [f32; 3]) -> f32 {
    0.3 * r + 0.59 * g + 0.11 * b
}

/// A picture of these pixels, row by row.
fn filled(width: u32, height: u32, pixels: &[[f32; 3]]) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let rgb = pixels[y as usize * width as usize + x as usize];
        Rgb(rgb.map(|v| v.round().clamp(0.0, 255.0) as u8))
    })
}

/// Two scenes beside each other, as a recorder shows two cameras.
fn two_cameras(samples: &[Sample]) -> Result<Sample, Box<dyn Error>> {
    let [one, two, ..] = samples else {
        return Err("two scenes are needed".into());
    };
    let (width, height) = SCENE;
    let picture = RgbImage::from_fn(2 * width, height, |x, y| {
        let half = if x < width { one } else { two };
        *half.picture.get_pixel(x % width, y)
    });
    let moved = |quad: &Quad| quad.map(|[x, y]| [x + width as f32, y]);
    let left = one.corners.iter().copied();
    Ok(Sample {
        picture,
        plates: [one, two].iter().flat_map(|s| s.plates.clone()).collect(),
        corners: left.chain(two.corners.iter().map(moved)).collect(),
        lit: one.lit,
        cut: false,
    })
}

/// Cut-out plates: two of each look, the second one tilted in its upright cut.
fn cuts(rng: &mut ChaCha8Rng) -> Result<Vec<Sample>, Box<dyn Error>> {
    let lights = [
        Lit::By(Light::Day),
        Lit::By(Light::Night),
        Lit::Infrared,
        Lit::By(Light::Dusk),
        Lit::By(Light::Rain),
    ];
    let mut samples = Vec::new();
    for (i, (kind, rows)) in LOOKS.into_iter().cycle().take(2 * LOOKS.len()).enumerate() {
        let number = number(rng, kind)?;
        let flat = plate::draw(&number, kind, rows, rng.random())?;
        let tilted = i >= LOOKS.len();
        let angle: f32 = if tilted {
            rng.random_range(-7.0..7.0)
        } else {
            0.0
        };
        let lit = lights[(i + i / LOOKS.len()) % lights.len()];
        samples.push(Sample {
            picture: cut(rng, &flat, angle.to_radians(), lit),
            plates: vec![(number, kind)],
            corners: Vec::new(),
            lit,
            cut: true,
        });
    }
    Ok(samples)
}

/// The upright cut around a tilted plate, as a camera in this light gives it.
fn cut(rng: &mut ChaCha8Rng, flat: &Picture, angle: f32, lit: Lit) -> RgbImage {
    let (w, h) = (flat.width() as f32, flat.height() as f32);
    let (sin, cos) = angle.sin_cos();
    let (wide, high) = (w * cos + h * sin.abs(), h * cos + w * sin.abs());
    let width = rng.random_range(100.0_f32..220.0).round();
    let height = (width * high / wide).round();
    let camera = Camera {
        scale: wide / width,
        angle,
        point: [w / 2.0, h / 2.0],
        place: [width / 2.0, height / 2.0],
    };
    let size = (width as u32, height as u32);
    let sharp = camera.take(flat, size);
    let soft = rng.random_range(0.0..0.6);
    let (light, colour, noise): ([f32; 3], f32, f32) = match lit {
        Lit::Infrared => ([0.95; 3], 0.0, 9.0),
        Lit::By(Light::Day) => ([1.0; 3], 1.0, 4.0),
        Lit::By(Light::Dusk) => ([0.85, 0.7, 0.58], 0.95, 6.0),
        Lit::By(Light::Rain) => ([0.7, 0.74, 0.78], 0.75, 6.0),
        Lit::By(Light::Night | Light::NightRain) => ([0.6, 0.54, 0.46], 0.8, 13.0),
    };
    let at = |x: i32, y: i32| {
        let x = x.clamp(0, size.0 as i32 - 1) as usize;
        let y = y.clamp(0, size.1 as i32 - 1) as usize;
        sharp[y * size.0 as usize + x]
    };
    let mut pixels = Vec::with_capacity(sharp.len());
    for y in 0..size.1 as i32 {
        for x in 0..size.0 as i32 {
            let around = [at(x - 1, y), at(x + 1, y), at(x, y - 1), at(x, y + 1)];
            let grain = rng.random_range(-noise..noise);
            let blurred: [f32; 3] = std::array::from_fn(|i| {
                let mean = around.iter().map(|p| p[i]).sum::<f32>() / 4.0;
                at(x, y)[i] * (1.0 - soft) + mean * soft
            });
            let level = grey(blurred);
            pixels.push(std::array::from_fn(|i| {
                (level + (blurred[i] - level) * colour) * light[i] + grain
            }));
        }
    }
    filled(size.0, size.1, &pixels)
}
