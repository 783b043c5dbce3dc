//! Filling shapes with smooth edges.
//!
//! A [`Shape`] collects outlines (even-odd: an outline inside another is a hole) and is filled
//! row by row: four sample lines a row, exact along x, summed up as differences, so that a
//! wide shape costs one pass over its pixels.

use crate::picture::{Picture, blend};

/// Sample lines in a row of pixels.
const LINES: i32 = 4;

/// Outlines to be filled together.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    outlines: Vec<Vec<[f32; 2]>>,
    cover: Vec<f32>,
    crossings: Vec<f32>,
}

impl Shape {
    /// Adds a polygon.
    pub(crate) fn polygon(&mut self, points: &[[f32; 2]]) {
        if points.len() > 2 {
            self.outlines.push(points.to_vec());
        }
    }

    /// Adds an upright rectangle: left, top, right, bottom.
    pub(crate) fn rectangle(&mut self, [x0, y0, x1, y1]: [f32; 4]) {
        self.polygon(&[[x0, y0], [x1, y0], [x1, y1], [x0, y1]]);
    }

    /// Adds an ellipse.
    pub(crate) fn ellipse(&mut self, cx: f32, cy: f32, rx: f32, ry: f32) {
        let steps = ((rx.abs().max(ry.abs()) * 1.5) as usize).clamp(10, 48);
        self.outlines.push(
            (0..steps)
                .map(|i| {
                    let a = i as f32 / steps as f32 * std::f32::consts::TAU;
                    [cx + rx * a.cos(), cy + ry * a.sin()]
                })
                .collect(),
        );
    }

    /// Adds a thick line.
    pub(crate) fn line(&mut self, [x0, y0]: [f32; 2], [x1, y1]: [f32; 2], width: f32) {
        let length = (x1 - x0).hypot(y1 - y0).max(1e-3);
        let (nx, ny) = (
            (y1 - y0) / length * width / 2.0,
            (x0 - x1) / length * width / 2.0,
        );
        self.polygon(&[
            [x0 + nx, y0 + ny],
            [x1 + nx, y1 + ny],
            [x1 - nx, y1 - ny],
            [x0 - nx, y0 - ny],
        ]);
    }

    /// Adds a frame of `thick` pixels with round corners inside left, top, right, bottom.
    pub(crate) fn rounded_frame(&mut self, [x0, y0, x1, y1]: [f32; 4], radius: f32, thick: f32) {
        self.outlines.push(rounded([x0, y0, x1, y1], radius));
        self.outlines.push(rounded(
            [x0 + thick, y0 + thick, x1 - thick, y1 - thick],
            (radius - thick).max(0.5),
        ));
    }

    /// Fills with one colour, `alpha` 0 to 1, and forgets the outlines.
    pub(crate) fn fill(&mut self, picture: &mut Picture, rgb: [u8; 3], alpha: f32) {
        self.fill_fading(picture, rgb, rgb, alpha);
    }

    /// Fills with a colour that changes from the shape's top to its bottom.
    pub(crate) fn fill_fading(
        &mut self,
        picture: &mut Picture,
        top: [u8; 3],
        bottom: [u8; 3],
        alpha: f32,
    ) {
        let (width, height) = (picture.width() as i32, picture.height() as i32);
        let ys = || self.outlines.iter().flatten().map(|p| p[1]);
        let (low, high) = (ys().fold(f32::MAX, f32::min), ys().fold(f32::MIN, f32::max));
        if low.is_finite() && high.is_finite() && high > low {
            let first = (low.floor() as i32).clamp(0, height);
            let last = (high.ceil() as i32).clamp(0, height);
            for row in first..last {
                let t = ((row as f32 + 0.5 - low) / (high - low)).clamp(0.0, 1.0);
                let rgb = std::array::from_fn(|i| {
                    let (a, b) = (f32::from(top[i]), f32::from(bottom[i]));
                    (a + (b - a) * t) as u8
                });
                self.row(picture, row, width, rgb, alpha);
            }
        }
        self.outlines.clear();
    }

    fn row(&mut self, picture: &mut Picture, row: i32, width: i32, rgb: [u8; 3], alpha: f32) {
        self.cover.clear();
        self.cover.resize(width as usize + 2, 0.0);
        let (mut left, mut right) = (width, 0);
        for line in 0..LINES {
            let y = row as f32 + (line as f32 + 0.5) / LINES as f32;
            self.crossings.clear();
            for outline in &self.outlines {
                let mut before = outline[outline.len() - 1];
                for &point in outline {
                    if (before[1] <= y) != (point[1] <= y) {
                        let t = (y - before[1]) / (point[1] - before[1]);
                        self.crossings.push(before[0] + (point[0] - before[0]) * t);
                    }
                    before = point;
                }
            }
            self.crossings.sort_by(f32::total_cmp);
            for span in self.crossings.chunks_exact(2) {
                let (a, b) = (
                    span[0].clamp(0.0, width as f32),
                    span[1].clamp(0.0, width as f32),
                );
                for (x, sign) in [(a, 1.0), (b, -1.0)] {
                    let cell = x as usize;
                    let part = x - cell as f32;
                    self.cover[cell] += sign * (1.0 - part);
                    self.cover[cell + 1] += sign * part;
                }
                left = left.min(a as i32);
                right = right.max(b as i32 + 1);
            }
        }
        if left >= right {
            return;
        }
        let right = right.min(width);
        let start = (row * width) as usize * 3;
        let pixels = &mut picture.bytes_mut()[start..start + width as usize * 3];
        let mut sum = 0.0;
        let share = alpha / LINES as f32;
        for x in left as usize..right as usize {
            sum += self.cover[x];
            let cover = sum * share;
            if cover > 0.996 {
                pixels[x * 3..x * 3 + 3].copy_from_slice(&rgb);
            } else if cover > 0.002 {
                blend(&mut pixels[x * 3..x * 3 + 3], rgb, cover);
            }
        }
    }
}

/// A rectangle with round corners as a polygon.
pub(crate) fn rounded([x0, y0, x1, y1]: [f32; 4], radius: f32) -> Vec<[f32; 2]> {
    let r = radius.min((x1 - x0).abs() / 2.0).min((y1 - y0).abs() / 2.0);
    let corners = [
        (x1 - r, y0 + r, -90.0),
        (x1 - r, y1 - r, 0.0),
        (x0 + r, y1 - r, 90.0),
        (x0 + r, y0 + r, 180.0),
    ];
    corners
        .into_iter()
        .flat_map(|(cx, cy, from): (f32, f32, f32)| {
            (0..=5).map(move |i| {
                let a = (from + 18.0 * i as f32).to_radians();
                [cx + r * a.cos(), cy + r * a.sin()]
            })
        })
        .collect()
}
