//! Where a plate is in a frame.

use serde::{Deserialize, Serialize};

/// A point in pixels of the frame; the top left pixel's outer corner is (0, 0).
pub type Point = (f32, f32);

/// The four corners of a plate in a frame, clockwise from top left, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quad(pub [Point; 4]);

impl Quad {
    /// Mean of the corners.
    pub fn centre(&self) -> Point {
        let (x, y) = self
            .0
            .iter()
            .fold((0.0, 0.0), |(x, y), p| (x + p.0, y + p.1));
        (x / 4.0, y / 4.0)
    }

    /// Length of the upper edge in pixels.
    pub fn width(&self) -> f32 {
        distance(self.0[0], self.0[1])
    }

    /// Length of the left edge in pixels.
    pub fn height(&self) -> f32 {
        distance(self.0[0], self.0[3])
    }

    /// The quad moved along its own upper edge by `part` of its width, to the right.
    #[must_use]
    pub fn sideways(&self, part: f32) -> Self {
        let [left, right, ..] = self.0;
        let (dx, dy) = ((right.0 - left.0) * part, (right.1 - left.1) * part);
        Self(self.0.map(|(x, y)| (x + dx, y + dy)))
    }

    /// The upright box around the corners: left, top, right, bottom.
    pub fn bounds(&self) -> (f32, f32, f32, f32) {
        let start = (
            f32::INFINITY,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NEG_INFINITY,
        );
        self.0.iter().fold(start, |(l, t, r, b), &(x, y)| {
            (l.min(x), t.min(y), r.max(x), b.max(y))
        })
    }

    /// Shared area of two upright boxes as a part of the smaller one, 0 to 1.
    pub fn overlap(&self, other: &Self) -> f32 {
        let (al, at, ar, ab) = self.bounds();
        let (bl, bt, br, bb) = other.bounds();
        let (w, h) = (ar.min(br) - al.max(bl), ab.min(bb) - at.max(bt));
        if w <= 0.0 || h <= 0.0 {
            return 0.0;
        }
        let smaller = ((ar - al) * (ab - at)).min((br - bl) * (bb - bt));
        if smaller > 0.0 { w * h / smaller } else { 0.0 }
    }
}

fn distance(a: Point, b: Point) -> f32 {
    (a.0 - b.0).hypot(a.1 - b.1)
}
