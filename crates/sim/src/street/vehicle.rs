//! A vehicle as a handful of faces: its sides, cabin, bonnet and front.

use super::script::{Body, Vehicle};
use super::space::{BOOM, Point, clockwise, outline, project};
use super::world::{VisibleCar, length};
use crate::canvas::Shape;
use crate::picture::Picture;
use crate::plate::Rows;

/// How a colour looks in the light at hand: daylight colour and brightness in, picture colour
/// out.
pub(super) type Tone<'a> = &'a dyn Fn([u8; 3], f32) -> [u8; 3];

/// Where a vehicle is and how it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pose {
    front: [f32; 2],
    /// Unit vector from front to rear, x and z.
    back: [f32; 2],
    length: f32,
    body: Body,
}

/// How far beside the lane's middle the path runs, by metres before the boom: cars turn in
/// from the cross street at the left, and draw to the left again once they are through.
fn aside(distance: f32) -> f32 {
    if distance > 8.0 {
        -0.16 * (distance - 8.0).powi(2)
    } else if distance < 0.0 {
        -0.09 * distance * distance
    } else {
        0.0
    }
}

impl Pose {
    pub(super) fn new(vehicle: &Vehicle, car: &VisibleCar) -> Self {
        let length = length(vehicle.body);
        let front = [aside(car.distance), BOOM + car.distance];
        // The front wheels lead: a short base keeps the nose on the path.
        let rear = [aside(car.distance + 3.0), BOOM + car.distance + 3.0];
        let (dx, dz) = (rear[0] - front[0], rear[1] - front[1]);
        let size = dx.hypot(dz).max(1e-3);
        Self {
            front,
            back: [dx / size, dz / size],
            length,
            body: vehicle.body,
        }
    }

    /// A point of the vehicle: metres to the right as seen from the camera, up, and back from
    /// the front bumper.
    fn at(&self, [right, up, back]: Point) -> Point {
        let [bx, bz] = self.back;
        [
            self.front[0] + bx * back + bz * right,
            up,
            self.front[1] + bz * back - bx * right,
        ]
    }

    /// Half its width.
    fn half(&self) -> f32 {
        match self.body {
            Body::Saloon => 0.9,
            Body::Suv => 0.94,
            Body::Truck => 1.12,
        }
    }

    /// Where its two headlights are, in the picture, with their distance from the camera.
    pub(super) fn headlights(&self) -> [([f32; 2], f32); 2] {
        let up = match self.body {
            Body::Saloon => SALOON.nose - 0.14,
            Body::Suv => SUV.nose - 0.14,
            Body::Truck => 0.72,
        };
        [-1.0, 1.0].map(|side| {
            let p = self.at([side * (self.half() - 0.22), up, 0.0]);
            (project(p), p[2])
        })
    }

    /// The corners of its front plate in the picture, clockwise from top left; nothing while
    /// the plate is behind or beside the camera.
    pub(super) fn plate(&self, rows: Rows, eight: bool) -> Option<[[f32; 2]; 4]> {
        let (w, h) = match rows {
            Rows::Double => (0.22, 0.11),
            Rows::Single if eight => (0.24, 0.07),
            Rows::Single => (0.22, 0.07),
        };
        let up = if self.body == Body::Truck { 0.50 } else { 0.46 };
        let corners = [[-w, up + h], [w, up + h], [w, up - h], [-w, up - h]]
            .map(|[x, y]| self.at([x, y, -0.04]));
        corners
            .iter()
            .all(|p| p[2] > 0.8)
            .then(|| corners.map(project))
    }

    /// Its shadow on the road.
    pub(super) fn shadow(&self) -> Vec<[f32; 2]> {
        let w = self.half() + 0.12;
        let ground = [[-w, -0.1], [w, -0.1], [w, self.length], [-w, self.length]];
        outline(&ground.map(|[x, z]| self.at([x, 0.0, z])))
    }
}

/// A brush that knows the vehicle it paints.
struct Brush<'a> {
    pose: &'a Pose,
    picture: &'a mut Picture,
    shape: Shape,
    tone: Tone<'a>,
}

impl Brush<'_> {
    /// A face, only if it is turned to the camera (its points run clockwise then).
    fn face(&mut self, points: &[Point], rgb: [u8; 3], top: f32, bottom: f32) {
        let points: Vec<Point> = points.iter().map(|&p| self.pose.at(p)).collect();
        let flat = outline(&points);
        if flat.len() > 2 && clockwise(&flat) {
            self.shape.polygon(&flat);
            self.shape.fill_fading(
                self.picture,
                (self.tone)(rgb, top),
                (self.tone)(rgb, bottom),
                1.0,
            );
        }
    }

    /// A patch on the front: left, bottom, right, top in metres, at `z` metres back.
    fn patch(&mut self, [x0, y0, x1, y1]: [f32; 4], z: f32, rgb: [u8; 3], top: f32, bottom: f32) {
        self.face(
            &[[x0, y1, z], [x1, y1, z], [x1, y0, z], [x0, y0, z]],
            rgb,
            top,
            bottom,
        );
    }

    /// Both of a pair of patches, the left one given by its outline on the right side.
    fn pair(&mut self, points: &[Point], rgb: [u8; 3], top: f32, bottom: f32) {
        self.face(points, rgb, top, bottom);
        let mirrored: Vec<Point> = points.iter().rev().map(|&[x, y, z]| [-x, y, z]).collect();
        self.face(&mirrored, rgb, top, bottom);
    }
}

const GLASS: [u8; 3] = [58, 74, 88];
const TYRE: [u8; 3] = [24, 24, 26];
const TRIM: [u8; 3] = [30, 31, 34];
const CHROME: [u8; 3] = [206, 210, 214];

/// Paints the vehicle without its plate.
pub(super) fn paint(
    picture: &mut Picture,
    pose: &Pose,
    vehicle: &Vehicle,
    lit: bool,
    tone: Tone<'_>,
) {
    let mut brush = Brush {
        pose,
        picture,
        shape: Shape::default(),
        tone,
    };
    match vehicle.body {
        Body::Truck => truck(&mut brush, vehicle.paint, lit),
        Body::Saloon => car(&mut brush, vehicle.paint, lit, &SALOON),
        Body::Suv => car(&mut brush, vehicle.paint, lit, &SUV),
    }
}

/// Heights and depths of a car, in metres.
struct Lines {
    half: f32,
    length: f32,
    /// Height of the bonnet at the nose and at the windscreen, and where the windscreen begins.
    nose: f32,
    cowl: f32,
    cowl_at: f32,
    /// Height of the roof and where it begins and ends.
    roof: f32,
    roof_at: f32,
    roof_end: f32,
    /// Half the roof's width.
    crown: f32,
}

const SALOON: Lines = Lines {
    half: 0.9,
    length: 4.5,
    nose: 0.76,
    cowl: 0.94,
    cowl_at: 1.15,
    roof: 1.43,
    roof_at: 1.95,
    roof_end: 3.3,
    crown: 0.62,
};

const SUV: Lines = Lines {
    half: 0.94,
    length: 4.4,
    nose: 0.88,
    cowl: 1.06,
    cowl_at: 1.05,
    roof: 1.64,
    roof_at: 1.7,
    roof_end: 3.9,
    crown: 0.70,
};

fn car(brush: &mut Brush<'_>, paint: [u8; 3], lit: bool, l: &Lines) {
    sides(brush, paint, l);
    cabin(brush, paint, l);
    bonnet(brush, paint, l);
    front(brush, paint, lit, l);
}

/// Sides, glass in them, wheels.
fn sides(brush: &mut Brush<'_>, paint: [u8; 3], l: &Lines) {
    let (h, len) = (l.half, l.length);
    // Only the side that is turned to the camera is drawn.
    brush.pair(
        &[
            [h, l.nose - 0.05, 0.12],
            [h, l.cowl, l.cowl_at],
            [h, l.cowl, len - 0.4],
            [h, 0.75, len],
            [h, 0.24, len],
            [h, 0.24, 0.12],
        ],
        paint,
        0.82,
        0.55,
    );
    brush.pair(
        &[
            [h, l.cowl, l.cowl_at],
            [l.crown, l.roof, l.roof_at],
            [l.crown, l.roof, l.roof_end],
            [h, l.cowl, len - 0.4],
        ],
        GLASS,
        1.0,
        0.7,
    );
    for at in [0.85, len - 0.95] {
        let wheel = |r: f32| -> Vec<Point> {
            (0..16)
                .map(|i| {
                    let a = i as f32 / 16.0 * std::f32::consts::TAU;
                    [h + 0.01, 0.32 - r * a.sin(), at + r * a.cos()]
                })
                .collect()
        };
        brush.pair(&wheel(0.33), TYRE, 1.0, 1.0);
        brush.pair(&wheel(0.2), [150, 152, 156], 0.9, 0.7);
    }
    // Front tyres under the bumper.
    brush.pair(
        &[
            [h - 0.05, 0.34, 0.3],
            [h - 0.05, 0.0, 0.3],
            [h - 0.27, 0.0, 0.3],
            [h - 0.27, 0.34, 0.3],
        ],
        TYRE,
        1.0,
        0.6,
    );
}

/// Roof, windscreen, driver, mirrors.
fn cabin(brush: &mut Brush<'_>, paint: [u8; 3], l: &Lines) {
    let h = l.half;
    // Roof, then pillars and windscreen.
    let c = l.crown;
    brush.face(
        &[
            [-c, l.roof, l.roof_end],
            [c, l.roof, l.roof_end],
            [c, l.roof, l.roof_at],
            [-c, l.roof, l.roof_at],
        ],
        paint,
        1.05,
        1.0,
    );
    let screen = |inset: f32, low: f32| {
        let t = |a: f32, b: f32, k: f32| a + (b - a) * k;
        let (y0, z0) = (t(l.cowl, l.roof, low), t(l.cowl_at, l.roof_at, low));
        let (y1, z1) = (
            t(l.cowl, l.roof, 1.0 - low),
            t(l.cowl_at, l.roof_at, 1.0 - low),
        );
        [
            [-(c - inset), y1, z1],
            [c - inset, y1, z1],
            [h - 0.06 - inset, y0, z0],
            [-(h - 0.06 - inset), y0, z0],
        ]
    };
    brush.face(&screen(0.0, 0.0), paint, 0.8, 0.75);
    brush.face(&screen(0.055, 0.05), GLASS, 1.35, 0.62);
    // A driver behind the glass and the reflection of the sky in it.
    let z = l.cowl_at + 0.42;
    let y = l.cowl + 0.2;
    let head: Vec<Point> = (0..14)
        .map(|i| {
            let a = i as f32 / 14.0 * std::f32::consts::TAU;
            [0.34 + 0.105 * a.cos(), y - 0.14 * a.sin(), z]
        })
        .collect();
    brush.face(
        &[
            [0.1, y - 0.1, z],
            [0.58, y - 0.1, z],
            [0.62, l.cowl - 0.02, z - 0.25],
            [0.06, l.cowl - 0.02, z - 0.25],
        ],
        [52, 56, 66],
        1.0,
        0.8,
    );
    brush.face(&head, [120, 100, 88], 0.8, 0.7);
    // Mirrors.
    brush.pair(
        &[
            [h + 0.02, l.cowl + 0.12, l.cowl_at + 0.2],
            [h + 0.2, l.cowl + 0.12, l.cowl_at + 0.2],
            [h + 0.2, l.cowl - 0.01, l.cowl_at + 0.2],
            [h + 0.02, l.cowl - 0.01, l.cowl_at + 0.2],
        ],
        paint,
        0.8,
        0.6,
    );
}

/// The bonnet with its crease.
fn bonnet(brush: &mut Brush<'_>, paint: [u8; 3], l: &Lines) {
    let h = l.half;
    let nose = h - 0.07;
    brush.face(
        &[
            [-(h - 0.04), l.cowl, l.cowl_at],
            [h - 0.04, l.cowl, l.cowl_at],
            [nose, l.nose, 0.06],
            [-nose, l.nose, 0.06],
        ],
        paint,
        0.98,
        1.12,
    );
    brush.face(
        &[
            [-0.5, l.cowl + 0.005, l.cowl_at],
            [0.5, l.cowl + 0.005, l.cowl_at],
            [0.42, l.nose + 0.005, 0.08],
            [-0.42, l.nose + 0.005, 0.08],
        ],
        paint,
        1.04,
        1.2,
    );
}

/// What the camera sees most of: grille, lamps, bumper, the plate's holder.
fn front(brush: &mut Brush<'_>, paint: [u8; 3], lit: bool, l: &Lines) {
    let h = l.half;
    // The front: a rounded mask from one side to the other.
    let mask: Vec<Point> = crate::canvas::rounded([-h, -l.nose, h, -0.2], 0.13)
        .into_iter()
        .map(|[x, y]| [x, -y, 0.10 * (x / h).powi(4)])
        .collect();
    brush.face(&mask, paint, 1.02, 0.68);
    let top = l.nose - 0.10;
    brush.face(
        &[
            [-0.42, top, -0.01],
            [0.42, top, -0.01],
            [0.34, top - 0.18, -0.01],
            [-0.34, top - 0.18, -0.01],
        ],
        TRIM,
        1.0,
        0.8,
    );
    for i in 0..3 {
        let y = top - 0.03 - 0.055 * i as f32;
        brush.patch([-0.37, y - 0.014, 0.37, y], -0.015, CHROME, 0.75, 0.6);
    }
    brush.patch(
        [-0.07, top - 0.13, 0.07, top - 0.03],
        -0.02,
        CHROME,
        1.0,
        0.8,
    );
    brush.patch([-0.56, 0.22, 0.56, 0.34], -0.01, TRIM, 1.0, 0.8);
    brush.pair(
        &[
            [0.60, 0.38, 0.02],
            [0.80, 0.38, 0.02],
            [0.78, 0.26, 0.02],
            [0.62, 0.26, 0.02],
        ],
        TRIM,
        1.0,
        0.9,
    );
    let lamp = if lit {
        [255, 252, 236]
    } else {
        [214, 222, 228]
    };
    brush.pair(
        &[
            [0.47, top + 0.01, 0.0],
            [h - 0.03, top + 0.04, 0.06],
            [h - 0.05, top - 0.10, 0.06],
            [0.52, top - 0.13, 0.0],
        ],
        TRIM,
        1.2,
        1.0,
    );
    brush.pair(
        &[
            [0.51, top - 0.01, -0.01],
            [h - 0.06, top + 0.02, 0.05],
            [h - 0.08, top - 0.08, 0.05],
            [0.55, top - 0.10, -0.01],
        ],
        lamp,
        if lit { 9.0 } else { 1.0 },
        if lit { 9.0 } else { 0.8 },
    );
    // The plate's holder.
    brush.patch([-0.255, 0.375, 0.255, 0.545], -0.03, TRIM, 0.9, 0.8);
}

fn truck(brush: &mut Brush<'_>, paint: [u8; 3], lit: bool) {
    let h = 1.12;
    let len = 6.5;
    let canvas = [150, 158, 150];
    // The load behind the cab, wider and higher than it.
    brush.pair(
        &[
            [1.2, 3.1, 1.9],
            [1.2, 3.1, len],
            [1.2, 0.9, len],
            [1.2, 0.9, 1.9],
        ],
        canvas,
        0.8,
        0.6,
    );
    brush.patch([-1.2, 0.9, 1.2, 3.1], 1.9, canvas, 0.95, 0.7);
    brush.pair(
        &[[h, 2.5, 0.35], [h, 2.5, 1.8], [h, 0.5, 1.8], [h, 0.5, 0.1]],
        paint,
        0.8,
        0.55,
    );
    brush.pair(
        &[
            [h + 0.005, 2.2, 0.45],
            [h + 0.005, 2.2, 1.3],
            [h + 0.005, 1.5, 1.3],
            [h + 0.005, 1.5, 0.3],
        ],
        GLASS,
        1.0,
        0.7,
    );
    brush.pair(
        &[
            [h - 0.3, 0.45, 0.35],
            [h - 0.03, 0.45, 0.35],
            [h - 0.03, 0.0, 0.35],
            [h - 0.3, 0.0, 0.35],
        ],
        TYRE,
        1.0,
        0.6,
    );
    truck_front(brush, paint, lit, h);
}

/// The cab's face.
fn truck_front(brush: &mut Brush<'_>, paint: [u8; 3], lit: bool, h: f32) {
    let face = |x: f32, y0: f32, y1: f32| {
        let back = |y: f32| 0.35 * ((y - 1.3) / 1.2).clamp(0.0, 1.0);
        [
            [-x, y1, back(y1)],
            [x, y1, back(y1)],
            [x, y0, back(y0)],
            [-x, y0, back(y0)],
        ]
    };
    brush.face(&face(h, 1.3, 2.5), paint, 1.05, 0.95);
    brush.face(&face(h - 0.12, 1.42, 2.25), GLASS, 1.4, 0.6);
    let mask: Vec<Point> = crate::canvas::rounded([-h, -1.34, h, -0.3], 0.1)
        .into_iter()
        .map(|[x, y]| [x, -y, 0.0])
        .collect();
    brush.face(&mask, paint, 0.95, 0.7);
    brush.patch([-0.75, 0.95, 0.75, 1.2], -0.01, TRIM, 1.0, 0.8);
    for i in 0..3 {
        let y = 1.17 - 0.075 * i as f32;
        brush.patch([-0.7, y - 0.02, 0.7, y], -0.015, CHROME, 0.7, 0.55);
    }
    brush.patch([-h, 0.3, h, 0.86], -0.015, [60, 62, 66], 1.0, 0.8);
    let lamp = if lit {
        [255, 252, 236]
    } else {
        [214, 222, 228]
    };
    brush.pair(
        &[
            [0.72, 0.81, -0.02],
            [1.06, 0.81, -0.02],
            [1.06, 0.63, -0.02],
            [0.72, 0.63, -0.02],
        ],
        lamp,
        if lit { 9.0 } else { 1.0 },
        if lit { 9.0 } else { 0.8 },
    );
    brush.pair(
        &[
            [0.78, 0.56, -0.02],
            [1.0, 0.56, -0.02],
            [1.0, 0.48, -0.02],
            [0.78, 0.48, -0.02],
        ],
        [220, 140, 40],
        1.0,
        0.8,
    );
    brush.pair(
        &[
            [h + 0.03, 2.2, 0.3],
            [h + 0.27, 2.2, 0.3],
            [h + 0.27, 1.65, 0.3],
            [h + 0.03, 1.65, 0.3],
        ],
        TRIM,
        1.3,
        1.0,
    );
    brush.patch([-0.25, 0.37, 0.25, 0.63], -0.03, TRIM, 0.9, 0.8);
}
