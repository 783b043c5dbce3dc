//! A quad of the frame, seen straight on: what the reader and the corner network are fed.
//!
//! The plane of the plate maps to the frame by a homography; each pixel of a [`Pane`] looks up
//! its place in the frame and interpolates linearly. A plate much larger than the pane is shrunk
//! first by area, and only the part of the frame around it, because single look-ups would skip
//! pixels and alias.

use domain::Quad;

use super::resample::{Pixels, Taps, resample};
use crate::models::manifest::{CORNERS_INNER, CORNERS_INPUT, READER_INPUT};

/// Wider plates than this many times their width in the pane are shrunk first,
const LARGE: f32 = 1.6;
/// to this many times.
const SHRUNK: f32 = 1.3;
/// Pixels around the quad that interpolation may touch.
const MARGIN: f64 = 3.0;

/// A picture to be made of a quad: its size, and where in it the quad lies. What is around the
/// quad shows what is around it in the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pane {
    rows: usize,
    columns: usize,
    inner_rows: usize,
    inner_columns: usize,
}

impl Pane {
    /// The reader's: the quad fills it.
    pub(crate) const READER: Self = Self {
        rows: READER_INPUT.0,
        columns: READER_INPUT.1,
        inner_rows: READER_INPUT.0,
        inner_columns: READER_INPUT.1,
    };
    /// The corner network's: the quad in the middle.
    pub(crate) const CORNERS: Self = Self {
        rows: CORNERS_INPUT.0,
        columns: CORNERS_INPUT.1,
        inner_rows: CORNERS_INNER.0,
        inner_columns: CORNERS_INNER.1,
    };

    /// Bytes of its RGB pixels.
    pub(crate) const fn bytes(self) -> usize {
        self.rows * self.columns * 3
    }

    /// The quad's top left corner in it.
    fn corner(self) -> (f64, f64) {
        (
            (self.columns - self.inner_columns) as f64 / 2.0,
            (self.rows - self.inner_rows) as f64 / 2.0,
        )
    }
}

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
    /// pixels of that picture.
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

/// A map from the plate's plane to the frame's pixels: x = (a u + b v + c) / (g u + h v + 1), y likewise.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Homography {
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

    /// The frame's pixel that shows a place of the plane.
    pub(crate) fn at(&self, u: f64, v: f64) -> (f64, f64) {
        let w = self.g * u + self.h * v + 1.0;
        (
            (self.a * u + self.b * v + self.c) / w,
            (self.d * u + self.e * v + self.f) / w,
        )
    }
}

/// Where the pixels of a pane lie in the frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PaneMap {
    plane: Homography,
    corner: (f64, f64),
    layout: Layout,
}

impl PaneMap {
    /// The frame's pixel that a pixel of the pane shows.
    pub(crate) fn at(&self, u: f64, v: f64) -> (f64, f64) {
        let (u, v) = self.layout.source(u - self.corner.0, v - self.corner.1);
        self.plane.at(u, v)
    }
}

impl Rectifier {
    /// Warps the quad onto a pane of RGB pixels in `out`; the map back, or `None` if the quad
    /// cannot be a plate. `layout` other than [`Layout::AsIs`] is for the reader's pane.
    pub(crate) fn rectify(
        &mut self,
        frame: Pixels<'_>,
        quad: &Quad,
        layout: Layout,
        pane: Pane,
        out: &mut [u8],
    ) -> Option<PaneMap> {
        let corners = quad.0.map(|(x, y)| (f64::from(x), f64::from(y)));
        let (left, _, right, _) = quad.bounds();
        let wide = right - left;
        if !wide.is_finite() {
            return None;
        }
        let map = |corners: &[(f64, f64); 4]| {
            let (width, height) = (pane.inner_columns as f64, pane.inner_rows as f64);
            Some(PaneMap {
                plane: Homography::new(width, height, corners)?,
                corner: pane.corner(),
                layout,
            })
        };
        let back = map(&corners)?;
        if wide <= pane.inner_columns as f32 * LARGE {
            warp(frame, (0, 0), &back, pane, out);
            return Some(back);
        }
        let k = f64::from(pane.inner_columns as f32 * SHRUNK / wide);
        let shrunk = map(&corners.map(|(x, y)| (x * k, y * k)))?;
        let whole = |side: usize| ((side as f64 * k).round_ties_even() as usize).max(1);
        let (right, bottom) = (pane.columns as f64, pane.rows as f64);
        let ends = [(0.0, 0.0), (right, 0.0), (right, bottom), (0.0, bottom)];
        // Places of the pane itself, whatever the layout: it only moves them about inside.
        let ends = ends.map(|(u, v)| shrunk.plane.at(u - shrunk.corner.0, v - shrunk.corner.1));
        let xs = range(ends.map(|p| p.0), whole(frame.width));
        let ys = range(ends.map(|p| p.1), whole(frame.height));
        self.columns.area(frame.width, xs.0, xs.1 - xs.0, 1.0 / k);
        self.rows.area(frame.height, ys.0, ys.1 - ys.0, 1.0 / k);
        let (w, h) = (self.columns.len(), self.rows.len());
        self.shrunk.clear();
        self.shrunk.resize(w * h * 3, 0);
        resample(
            frame,
            &self.columns,
            &self.rows,
            &mut self.shrunk,
            w,
            &mut self.sums,
        );
        let part = Pixels {
            rgb: &self.shrunk,
            width: w,
            height: h,
        };
        warp(part, (xs.0, ys.0), &shrunk, pane, out);
        Some(back)
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
fn warp(source: Pixels<'_>, origin: (usize, usize), map: &PaneMap, pane: Pane, out: &mut [u8]) {
    let (last_x, last_y) = ((source.width - 1) as f64, (source.height - 1) as f64);
    let stride = source.width * 3;
    for (v, line) in out.chunks_exact_mut(pane.columns * 3).enumerate() {
        for (u, pixel) in line.chunks_exact_mut(3).enumerate() {
            let (x, y) = map.at(u as f64, v as f64);
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
