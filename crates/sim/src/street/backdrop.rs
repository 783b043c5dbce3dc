//! The still part of the picture: shops across the street, trees, road, gate house.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::paint::{Tone, glow};
use super::script::Light;
use super::space::{Point, outline, project, scale};
use super::{HEIGHT, WIDTH};
use crate::canvas::Shape;
use crate::picture::Picture;
use crate::plate::mask;
use crate::warp::Texture;

type Rgb = [u8; 3];

/// Paints the backdrop in one light.
pub(super) fn paint(light: Light, seed: u64) -> Picture {
    let tone = Tone::of(light);
    let mut scene = Scene {
        picture: Picture::filled(WIDTH, HEIGHT, [0; 3]),
        shape: Shape::default(),
        rng: ChaCha8Rng::seed_from_u64(seed ^ 0xb4c4),
        night: matches!(light, Light::Night | Light::NightRain),
        windows: matches!(light, Light::Night | Light::NightRain | Light::Dusk),
    };
    scene.sky(light);
    scene.towers();
    scene.shops();
    scene.street();
    scene.trees();
    scene.lane();
    if light.rains() {
        wet(&mut scene.picture);
    }
    scene.verge();
    scene.gate_house();
    let mut picture = scene.picture;
    let lit_windows = scene.windows;
    // The light of the hour, and the gate's lamp as a pool on road and walls.
    let mark = picture.rgb().to_vec();
    for (i, pixel) in picture.bytes_mut().chunks_exact_mut(3).enumerate() {
        let (x, y) = ((i % WIDTH as usize) as f32, (i / WIDTH as usize) as f32);
        let r2 = ((x - 760.0) / 620.0).powi(2) + ((y - 640.0) / 330.0).powi(2);
        let lit = 1.0 / (1.0 + 1.6 * r2 * r2);
        let own = [mark[i * 3], mark[i * 3 + 1], mark[i * 3 + 2]];
        // Windows and signs that shine of themselves were painted in a colour of their own.
        let rgb = if lit_windows && is_shining(own) {
            own.map(f32::from)
        } else {
            tone.shade(own.map(f32::from), lit)
        };
        for (byte, v) in pixel.iter_mut().zip(rgb) {
            *byte = v.clamp(0.0, 255.0) as u8;
        }
    }
    if lit_windows {
        for x in [-5.0, 7.0] {
            glow(
                &mut picture,
                project([x, 5.2, 25.0]),
                130.0,
                [255.0, 206.0, 130.0],
                0.4,
            );
        }
    }
    soften(&mut picture);
    picture
}

/// Colours that only lit windows and signs have: warm and nearly full.
fn is_shining([r, g, b]: Rgb) -> bool {
    r >= 250 && (195..=236).contains(&g) && (120..=190).contains(&b)
}

/// The road mirrors, upside down and faintly, what stands beyond it.
fn wet(picture: &mut Picture) {
    let source = picture.clone();
    for y in 312..HEIGHT {
        let from = 312_u32.saturating_sub((y - 312) * 3 / 4 + 4);
        for x in 0..WIDTH {
            let near = source.get(x, from);
            picture.blend(x, y, near, 0.20);
        }
    }
}

/// The lens is not perfectly sharp: three by three, centre four of eight.
fn soften(picture: &mut Picture) {
    let source = picture.clone();
    for y in 1..HEIGHT - 1 {
        for x in 1..WIDTH - 1 {
            let centre = source.get(x, y);
            let around = [
                source.get(x - 1, y),
                source.get(x + 1, y),
                source.get(x, y - 1),
                source.get(x, y + 1),
            ];
            picture.set(
                x,
                y,
                std::array::from_fn(|i| {
                    let sum: u32 = around.iter().map(|p| u32::from(p[i])).sum();
                    ((sum + 4 * u32::from(centre[i])) / 8) as u8
                }),
            );
        }
    }
}

struct Scene {
    picture: Picture,
    shape: Shape,
    rng: ChaCha8Rng,
    night: bool,
    windows: bool,
}

fn dim(rgb: Rgb, k: f32) -> Rgb {
    rgb.map(|v| (f32::from(v) * k).min(255.0) as u8)
}

impl Scene {
    fn fill(&mut self, points: &[Point], top: Rgb, bottom: Rgb) {
        self.shape.polygon(&outline(points));
        self.shape.fill_fading(&mut self.picture, top, bottom, 1.0);
    }

    /// An upright rectangle that faces the camera: left, bottom, right, top at distance `z`.
    fn wall(&mut self, [x0, y0, x1, y1]: [f32; 4], z: f32, rgb: Rgb) {
        let foot = if is_shining(rgb) { rgb } else { dim(rgb, 0.9) };
        self.fill(
            &[[x0, y1, z], [x1, y1, z], [x1, y0, z], [x0, y0, z]],
            rgb,
            foot,
        );
    }

    fn sky(&mut self, light: Light) {
        let (top, bottom) = match light {
            Light::Day => ([112, 164, 222], [206, 224, 238]),
            Light::Dusk => ([120, 128, 168], [255, 190, 140]),
            Light::Rain => ([168, 174, 182], [206, 210, 214]),
            Light::Night => ([26, 30, 48], [70, 66, 74]),
            Light::NightRain => ([32, 34, 44], [66, 64, 70]),
        };
        self.shape.rectangle([0.0, 0.0, WIDTH as f32, 300.0]);
        self.shape.fill_fading(&mut self.picture, top, bottom, 1.0);
    }

    fn towers(&mut self) {
        for (x, width, top, rgb) in [
            (-46.0, 20.0, 16.0, [178, 176, 178]),
            (-20.0, 15.0, 19.0, [190, 184, 176]),
            (1.0, 18.0, 15.5, [172, 176, 184]),
            (26.0, 22.0, 18.0, [186, 182, 180]),
        ] {
            self.wall([x, 0.0, x + width, top], 150.0, rgb);
            let columns = (width / 3.0) as i32;
            for row in 0..5 {
                for column in 0..columns {
                    let (wx, wy) = (x + 1.0 + 3.0 * column as f32, 2.5 + 3.0 * row as f32);
                    if wy + 1.6 > top {
                        continue;
                    }
                    let shining = self.windows && self.rng.random_bool(0.4);
                    let rgb = if shining {
                        [252, 206, 140]
                    } else {
                        [124, 134, 148]
                    };
                    self.wall([wx, wy, wx + 1.6, wy + 1.6], 149.0, rgb);
                }
            }
        }
    }

    fn shops(&mut self) {
        const Z: f32 = 46.0;
        let signs: [Rgb; 6] = [
            [176, 40, 36],
            [34, 92, 150],
            [40, 118, 78],
            [196, 120, 30],
            [112, 48, 110],
            [30, 110, 130],
        ];
        self.wall([-24.0, 0.0, 24.0, 5.3], Z, [196, 178, 156]);
        self.wall([-24.0, 5.05, 24.0, 5.3], Z - 0.1, [150, 132, 114]);
        for (i, rgb) in signs.into_iter().enumerate() {
            let x = -18.6 + 5.6 * i as f32;
            let shining = self.windows && i % 3 != 1;
            let glass = if shining {
                [255, 214, 150]
            } else {
                [104, 122, 134]
            };
            self.wall([x + 0.2, 0.15, x + 5.2, 2.7], Z - 0.1, [72, 66, 62]);
            self.wall([x + 0.4, 0.3, x + 1.9, 2.5], Z - 0.2, glass);
            self.wall(
                [x + 2.1, 0.1, x + 3.2, 2.5],
                Z - 0.2,
                if shining { glass } else { dim(glass, 0.8) },
            );
            self.wall([x + 3.4, 0.3, x + 5.0, 2.5], Z - 0.2, glass);
            self.wall([x + 0.1, 2.75, x + 5.3, 3.75], Z - 0.3, rgb);
            // Lettering too small to read, as signs across a street are.
            for k in 0..4 {
                let lx = x + 1.0 + 0.9 * k as f32;
                self.wall([lx, 2.98, lx + 0.55, 3.5], Z - 0.4, [238, 232, 214]);
            }
            for k in 0..3 {
                let wx = x + 0.5 + 1.7 * k as f32;
                let rgb = if self.windows && self.rng.random_bool(0.35) {
                    [252, 206, 140]
                } else {
                    [96, 108, 120]
                };
                self.wall([wx, 4.0, wx + 1.1, 4.9], Z - 0.1, rgb);
            }
        }
    }

    fn street(&mut self) {
        let far = if self.night {
            [120, 118, 120]
        } else {
            [168, 164, 158]
        };
        // Pavement, kerb, cross street, kerb.
        self.fill(
            &[
                [-40.0, 0.0, 46.0],
                [40.0, 0.0, 46.0],
                [40.0, 0.0, 24.0],
                [-40.0, 0.0, 24.0],
            ],
            far,
            dim(far, 1.05),
        );
        self.fill(
            &[
                [-40.0, 0.0, 24.0],
                [40.0, 0.0, 24.0],
                [40.0, 0.0, 5.0],
                [-40.0, 0.0, 5.0],
            ],
            [98, 100, 104],
            [108, 109, 112],
        );
        self.wall([-40.0, 0.0, 40.0, 0.13], 24.0, [196, 194, 188]);
        for i in -6..7 {
            let x = 3.6 * i as f32;
            self.fill(
                &[
                    [x, 0.0, 20.65],
                    [x + 1.8, 0.0, 20.65],
                    [x + 1.8, 0.0, 20.4],
                    [x, 0.0, 20.4],
                ],
                [232, 228, 214],
                [232, 228, 214],
            );
        }
    }

    fn trees(&mut self) {
        for (x, z, size) in [
            (-8.6, 27.0, 1.15),
            (-2.9, 28.0, 0.8),
            (4.6, 27.5, 1.0),
            (9.4, 26.0, 1.1),
        ] {
            self.wall([x - 0.13, 0.0, x + 0.13, 2.6 * size], z, [96, 76, 58]);
            for layer in 0..3 {
                for _ in 0..26 {
                    let a = self.rng.random_range(0.0..std::f32::consts::TAU);
                    let r = self.rng.random_range(0.0_f32..1.0).sqrt() * 1.25 * size;
                    let dx = r * a.cos();
                    let dy = r * a.sin() * 0.85;
                    let light = 0.62 + 0.17 * layer as f32 + 0.12 * (dy / size);
                    let tint = self.rng.random_range(0.88..1.12);
                    let [px, py] = project([x + dx, 3.6 * size + dy + 0.2 * layer as f32, z]);
                    let k = scale(z) * size * self.rng.random_range(0.2..0.36);
                    self.shape.ellipse(px, py, k, k * 0.82);
                    self.shape
                        .fill(&mut self.picture, dim([96, 136, 66], light * tint), 0.92);
                }
            }
        }
    }

    fn lane(&mut self) {
        // The compound's own road, a little lighter, opening to the left where cars turn in.
        let edge = [
            [-1.75, 0.0, 4.0],
            [-1.75, 0.0, 10.0],
            [-2.6, 0.0, 13.5],
            [-6.2, 0.0, 17.2],
            [3.2, 0.0, 17.2],
            [1.6, 0.0, 14.0],
            [1.45, 0.0, 10.0],
            [1.45, 0.0, 4.0],
        ];
        self.fill(&edge, [112, 113, 116], [132, 132, 134]);
        // Grain of the asphalt: thousands of faint specks, nearer ones larger.
        for _ in 0..5200 {
            let z = 4.9 + 19.0 * self.rng.random_range(0.0_f32..1.0).powi(2);
            let x = self.rng.random_range(-9.0..8.0);
            let [px, py] = project([x, 0.0, z]);
            let k = scale(z) * 0.012;
            self.shape.ellipse(px, py, k * 1.8, k * 0.6);
            let tone = if self.rng.random_bool(0.5) { 60 } else { 180 };
            self.shape.fill(&mut self.picture, [tone; 3], 0.10);
        }
        let white = [226, 224, 214];
        for x in [-1.6, 1.22] {
            self.fill(
                &[
                    [x, 0.0, 12.0],
                    [x + 0.1, 0.0, 12.0],
                    [x + 0.1, 0.0, 5.0],
                    [x, 0.0, 5.0],
                ],
                white,
                white,
            );
        }
        // The stop line, and the sawn outline of the loop in the road.
        self.fill(
            &[
                [-1.5, 0.0, 7.0],
                [1.22, 0.0, 7.0],
                [1.22, 0.0, 6.75],
                [-1.5, 0.0, 6.75],
            ],
            white,
            white,
        );
        // An arrow on the road.
        self.fill(
            &[
                [-0.36, 0.0, 10.4],
                [-0.16, 0.0, 10.4],
                [-0.16, 0.0, 8.9],
                [-0.36, 0.0, 8.9],
            ],
            white,
            white,
        );
        self.fill(
            &[[-0.62, 0.0, 8.9], [0.10, 0.0, 8.9], [-0.26, 0.0, 8.1]],
            white,
            white,
        );
        // Yellow zones at the mouth of the lane.
        for i in 0..5 {
            let x = -1.5 + 0.6 * i as f32;
            self.fill(
                &[
                    [x, 0.0, 13.6],
                    [x + 0.3, 0.0, 13.6],
                    [x + 0.3, 0.0, 12.9],
                    [x, 0.0, 12.9],
                ],
                [214, 176, 60],
                [214, 176, 60],
            );
        }
    }

    fn verge(&mut self) {
        // Left: kerb, grass, hedge.
        let grass = [112, 138, 84];
        self.fill(
            &[
                [-2.05, 0.12, 11.0],
                [-6.5, 0.12, 11.0],
                [-6.5, 0.12, 4.0],
                [-2.05, 0.12, 4.0],
            ],
            grass,
            dim(grass, 0.9),
        );
        self.fill(
            &[
                [-1.85, 0.12, 11.0],
                [-2.05, 0.12, 11.0],
                [-2.05, 0.12, 4.0],
                [-1.85, 0.12, 4.0],
            ],
            [204, 202, 196],
            [204, 202, 196],
        );
        self.fill(
            &[
                [-1.85, 0.12, 4.0],
                [-1.85, 0.12, 11.0],
                [-1.85, 0.0, 11.0],
                [-1.85, 0.0, 4.0],
            ],
            [150, 148, 144],
            [140, 138, 134],
        );
        self.wall([-2.05, 0.0, -1.85, 0.12], 11.0, [190, 188, 182]);
        for row in 0..9 {
            let z = 10.6 - 0.6 * row as f32;
            for _ in 0..26 {
                let x = self.rng.random_range(-5.6_f32..-2.35);
                let y = self.rng.random_range(0.15_f32..0.78);
                let [px, py] = project([x, y, z]);
                let k = scale(z) * self.rng.random_range(0.10..0.19);
                let light = 0.55 + 0.5 * y;
                self.shape.ellipse(px, py, k, k * 0.8);
                self.shape
                    .fill(&mut self.picture, dim([84, 122, 66], light), 0.95);
            }
        }
        // Right: the island on which barrier and house stand.
        self.fill(
            &[
                [1.5, 0.14, 11.5],
                [9.0, 0.14, 11.5],
                [9.0, 0.14, 4.0],
                [1.5, 0.14, 4.0],
            ],
            [172, 166, 158],
            [182, 176, 168],
        );
        self.fill(
            &[
                [1.5, 0.14, 11.5],
                [1.5, 0.14, 4.0],
                [1.5, 0.0, 4.0],
                [1.5, 0.0, 11.5],
            ],
            [130, 128, 124],
            [120, 118, 114],
        );
        for i in 0..12 {
            let z = 4.0 + 0.62 * i as f32;
            let rgb = if i % 2 == 0 {
                [220, 182, 50]
            } else {
                [48, 48, 50]
            };
            self.fill(
                &[
                    [1.5, 0.14, z + 0.62],
                    [1.5, 0.14, z],
                    [1.5, 0.0, z],
                    [1.5, 0.0, z + 0.62],
                ],
                rgb,
                rgb,
            );
        }
    }

    fn gate_house(&mut self) {
        let (x0, x1, near, far) = (2.0, 4.6, 6.2, 9.0);
        let wall = [222, 214, 200];
        // The side towards the lane, then the side towards the camera.
        let side = |y0: f32, y1: f32, z0: f32, z1: f32| {
            [[x0, y1, z1], [x0, y1, z0], [x0, y0, z0], [x0, y0, z1]]
        };
        self.fill(
            &side(0.14, 2.7, near, far),
            dim(wall, 0.86),
            dim(wall, 0.78),
        );
        self.fill(&side(0.14, 0.5, near, far), [132, 116, 102], [120, 106, 94]);
        self.wall([x0, 0.14, x1, 2.7], near, wall);
        self.wall([x0, 0.14, x1, 0.5], near, [140, 122, 108]);
        let glass = if self.windows {
            [255, 222, 160]
        } else {
            [92, 116, 132]
        };
        self.fill(
            &side(1.0, 2.0, near + 0.25, far - 0.3),
            [70, 72, 76],
            [70, 72, 76],
        );
        self.fill(&side(1.05, 1.95, near + 0.32, near + 1.25), glass, glass);
        self.fill(&side(1.05, 1.95, near + 1.33, far - 0.37), glass, glass);
        self.wall([x0 + 0.3, 1.0, x1, 2.0], near - 0.01, [70, 72, 76]);
        self.wall([x0 + 0.36, 1.06, x1, 1.94], near - 0.02, glass);
        // The guard behind the window.
        let z = near + 0.7;
        let [px, py] = project([x0, 1.62, z]);
        let k = scale(z) * 0.1;
        self.shape.ellipse(px, py, k * 0.55, k);
        self.shape.fill(&mut self.picture, [128, 98, 82], 1.0);
        self.shape.ellipse(px, py - k * 0.6, k * 0.62, k * 0.5);
        self.shape.fill(&mut self.picture, [36, 48, 80], 1.0);
        self.fill(
            &side(1.05, 1.47, z - 0.28, z + 0.28),
            [44, 58, 96],
            [40, 52, 86],
        );
        // Roof, and the sign under the window.
        self.fill(
            &[
                [x0 - 0.25, 2.7, far + 0.2],
                [x0 - 0.25, 2.7, near - 0.25],
                [x0 - 0.25, 2.9, near - 0.25],
                [x0 - 0.25, 2.9, far + 0.2],
            ],
            [84, 70, 66],
            [84, 70, 66],
        );
        self.sign(
            "门岗",
            [30, 84, 150],
            [244, 244, 240],
            [
                [x0 - 0.02, 0.93, near + 1.9],
                [x0 - 0.02, 0.93, near + 0.75],
                [x0 - 0.02, 0.56, near + 0.75],
                [x0 - 0.02, 0.56, near + 1.9],
            ],
        );
        // A speed sign at the roadside.
        self.wall([1.72, 0.14, 1.77, 1.35], 10.6, [120, 122, 124]);
        self.sign(
            "减速慢行",
            [238, 196, 40],
            [24, 24, 24],
            [
                [1.5, 1.95, 10.5],
                [2.0, 1.95, 10.5],
                [2.0, 1.3, 10.5],
                [1.5, 1.3, 10.5],
            ],
        );
    }

    /// Characters on a board, corners clockwise from top left; four make two rows.
    fn sign(&mut self, text: &str, ground: Rgb, ink: Rgb, corners: [Point; 4]) {
        let characters: Vec<char> = text.chars().collect();
        let columns = characters.len().min(2) as u32;
        let rows = (characters.len() as u32).div_ceil(columns);
        let mut board = Picture::filled(20 + 70 * columns, 20 + 70 * rows, ground);
        for (i, &c) in characters.iter().enumerate() {
            let glyph = mask(c, 60, 60, 8.0);
            let (x0, y0) = (
                15 + 70 * (i as u32 % columns),
                15 + 70 * (i as u32 / columns),
            );
            for (j, &cover) in glyph.ink.iter().enumerate() {
                board.blend(
                    x0 + (j % glyph.width) as u32,
                    y0 + (j / glyph.width) as u32,
                    ink,
                    cover,
                );
            }
        }
        Texture::new(board).lay(&mut self.picture, corners.map(project), |rgb| rgb);
    }
}
