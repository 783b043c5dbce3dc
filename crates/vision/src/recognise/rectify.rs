//! A quad of the frame, seen straight on: what the reader is fed.
//!
//! The plane of the plate maps to the frame by a homography; each of the 160 x 48 output pixels
//! looks up its place in the frame and interpolates linearly. A plate much larger than the
//! output is shrunk first by area, and only the part of the frame around it, because single
//! look-ups would skip pixels and alias.

use domain::Quad;

use super::resample::{Pixels, Taps, resample};
use crate::models::manifest::READER_INPUT;

/// Wider plates than this many output widths are shrunk first,
const LARGE: f32 = 1.6;
/// to this many output widths.
const SHRUNK: f32 = 1.3;
/// Pixels around the quad that interpolation may touch.
const MARGIN: f64 = 3.0;

/// How the plate's characters are laid out in the reader's picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// As they stand on the plate.
    AsIs,
    /// A double-row plate with its upper row put to the left of the lower one, where the
    /// reader expects the first two characters of a single-row plate.
    InOneRow,
}

/// A double-row plate's part and where it goes, in millimetres: on the plate (440 x 220) and on
/// the single-row plate that the reader is shown (440 x 140).
struct Part {
    /// Where it ends on the single-row plate.
    until: f64,
    /// Left edges on both.
    left: (f64, f64),
    /// Plate millimetres for each of the single row's, across and down.
    scale: (f64, f64),
    /// Heights on both that correspond.
    top: (f64, f64),
}

/// The two characters above and the five below, each stretched to the size that its like has on
/// a single-row plate. GA 36-2018: upper characters 80 x 60, lower ones 65 x 110.
const PARTS: [Part; 3] = [
    Part {
        until: 67.0,
        left: (82.4, 0.0),
        scale: (119.2 / 67.0, 76.0 / 114.0),
        top: (8.0, 14.5),
    },
    Part {
        until: 134.0,
        left: (240.2, 67.0),
        scale: (119.1 / 67.0, 76.0 / 114.0),
        top: (8.0, 14.5),
    },
    Part {
        until: f64::INFINITY,
        left: (20.0, 134.0),
        scale: (410.0 / 306.0, 136.0 / 111.3),
        top: (78.0, 15.2),
    },
];

impl Layout {
    /// The place on the rectified plate that a place in the reader's picture shows, both in
    /// pixels of the reader's picture.
    fn source(self, u: f64, v: f64) -> (f64, f64) {
        let (height, width) = (READER_INPUT.0 as f64, READER_INPUT.1 as f64);
        match self {
            Self::AsIs => (u, v),
            Self::InOneRow => {
                let (x, y) = (u / width * 440.0, v / height * 140.0);
                let part = PARTS.iter().find(|p| x < p.until).unwrap_or(&PARTS[2]);
                let x = part.left.0 + (x - part.left.1) * part.scale.0;
                let y = part.top.0 + (y - part.top.1) * part.scale.1;
                (x / 440.0 * width, y / 220.0 * height)
            }
        }
    }
}

/// Buffers that live as long as the recogniser.
#[derive(Debug, Default)]
pub(crate) struct Rectifier {
    columns: Taps,
    rows: Taps,
    sums: Vec<f32>,
    shrunk: Vec<u8>,
}

/// A map from output pixels to the frame's: x = (a u + b v + c) / (g u + h v + 1), y likewise.
#[derive(Debug, Clone, Copy)]
struct Homography {
    a: f64,
    b: f64,
    c: f64,
    d: f64,
    e: f64,
    f: f64,
    g: f64,
    h: f64,
}

impl Homography {
    /// The map that takes the corners of a `width` x `height` rectangle to the quad's, or `None`
    /// if the quad is folded or flat.
    fn new(width: f64, height: f64, quad: &[(f64, f64); 4]) -> Option<Self> {
        let [(x0, y0), (x1, y1), (x2, y2), (x3, y3)] = *quad;
        let (dx1, dx2, sx) = (x1 - x2, x3 - x2, x0 - x1 + x2 - x3);
        let (dy1, dy2, sy) = (y1 - y2, y3 - y2, y0 - y1 + y2 - y3);
        let det = dx1 * dy2 - dx2 * dy1;
        if !det.is_finite() || det.abs() < 1e-9 {
            return None;
        }
        let g = (sx * dy2 - dx2 * sy) / det;
        let h = (dx1 * sy - sx * dy1) / det;
        // The plane must not pass through the camera within the plate.
        let ahead = [1.0 + g, 1.0 + h, 1.0 + g + h]
            .iter()
            .all(|&w| w.is_finite() && w > 1e-6);
        if !ahead || !x0.is_finite() || !y0.is_finite() {
            return None;
        }
        Some(Self {
            a: (x1 - x0 + g * x1) / width,
            b: (x3 - x0 + h * x3) / height,
            c: x0,
            d: (y1 - y0 + g * y1) / width,
            e: (y3 - y0 + h * y3) / height,
            f: y0,
            g: g / width,
            h: h / height,
        })
    }

    fn at(&self, u: f64, v: f64) -> (f64, f64) {
        let w = self.g * u + self.h * v + 1.0;
        (
            (self.a * u + self.b * v + self.c) / w,
            (self.d * u + self.e * v + self.f) / w,
        )
    }
}

impl Rectifier {
    /// Warps the quad to 160 x 48 RGB pixels in `out`; false if the quad cannot be one.
    pub(crate) fn rectify(
        &mut self,
        frame: Pixels<'_>,
        quad: &Quad,
        layout: Layout,
        out: &mut [u8],
    ) -> bool {
        let (height, width) = READER_INPUT;
        let corners = quad.0.map(|(x, y)| (f64::from(x), f64::from(y)));
        let (left, _, right, _) = quad.bounds();
        let wide = right - left;
        if !wide.is_finite() {
            return false;
        }
        if wide <= width as f32 * LARGE {
            let Some(map) = Homography::new(width as f64, height as f64, &corners) else {
                return false;
            };
            warp(frame, (0, 0), &map, layout, out);
            return true;
        }
        let k = f64::from(width as f32 * SHRUNK / wide);
        let scaled = corners.map(|(x, y)| (x * k, y * k));
        let Some(map) = Homography::new(width as f64, height as f64, &scaled) else {
            return false;
        };
        let whole = |side: usize| ((side as f64 * k).round_ties_even() as usize).max(1);
        let xs = range(scaled.map(|p| p.0), whole(frame.width));
        let ys = range(scaled.map(|p| p.1), whole(frame.height));
        self.columns.area(frame.width, xs.0, xs.1 - xs.0, 1.0 / k);
        self.rows.area(frame.height, ys.0, ys.1 - ys.0, 1.0 / k);
        let (w, h) = (self.columns.len(), self.rows.len());
        self.shrunk.clear();
        self.shrunk.resize(w * h * 3, 0);
        resample(
            frame,
            &self.columns,
            &self.rows,
            0,
            &mut self.shrunk,
            w,
            &mut self.sums,
        );
        let part = Pixels {
            rgb: &self.shrunk,
            width: w,
            height: h,
        };
        warp(part, (xs.0, ys.0), &map, layout, out);
        true
    }
}

/// The pixels of one axis that the quad needs, from and to (excluded), never empty.
fn range(corners: [f64; 4], side: usize) -> (usize, usize) {
    let low = corners.iter().copied().fold(f64::INFINITY, f64::min);
    let high = corners.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let from = ((low - MARGIN).floor().max(0.0) as usize).min(side - 1);
    let to = ((high + MARGIN).ceil().max(0.0) as usize).clamp(from + 1, side);
    (from, to)
}

/// Looks up every output pixel; `origin` is where `source` begins in the map's coordinates.
fn warp(
    source: Pixels<'_>,
    origin: (usize, usize),
    map: &Homography,
    layout: Layout,
    out: &mut [u8],
) {
    let (_, columns) = READER_INPUT;
    let (last_x, last_y) = ((source.width - 1) as f64, (source.height - 1) as f64);
    let stride = source.width * 3;
    for (v, line) in out.chunks_exact_mut(columns * 3).enumerate() {
        for (u, pixel) in line.chunks_exact_mut(3).enumerate() {
            let (plane_u, plane_v) = layout.source(u as f64, v as f64);
            let (x, y) = map.at(plane_u, plane_v);
            let x = (x - origin.0 as f64).clamp(0.0, last_x);
            let y = (y - origin.1 as f64).clamp(0.0, last_y);
            let (column, row) = (x as usize, y as usize);
            let (px, py) = ((x - column as f64) as f32, (y - row as f64) as f32);
            let right = if column + 1 < source.width { 3 } else { 0 };
            let below = if row + 1 < source.height { stride } else { 0 };
            let at = row * stride + column * 3;
            for (channel, byte) in pixel.iter_mut().enumerate() {
                let sample = |offset: usize| f32::from(source.rgb[at + offset + channel]);
                let upper = sample(0) + (sample(right) - sample(0)) * px;
                let lower = sample(below) + (sample(below + right) - sample(below)) * px;
                *byte = (upper + (lower - upper) * py + 0.5) as u8;
            }
        }
    }
}

/// Mean absolute difference of brightness between neighbours in a row, 0 to 255.
pub(crate) fn sharpness(rgb: &[u8], width: usize) -> f32 {
    let mut sum = 0.0_f32;
    let mut pairs = 0.0_f32;
    for row in rgb.chunks_exact(width * 3) {
        let mut bright = row
            .chunks_exact(3)
            .map(|p| 0.299 * f32::from(p[0]) + 0.587 * f32::from(p[1]) + 0.114 * f32::from(p[2]));
        let Some(mut before) = bright.next() else {
            continue;
        };
        for value in bright {
            sum += (value - before).abs();
            pairs += 1.0;
            before = value;
        }
    }
    if pairs > 0.0 { sum / pairs } else { 0.0 }
}
