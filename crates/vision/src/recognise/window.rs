//! What the finder is shown: a frame as a whole, or a part of it from nearer.

use domain::Quad;

use super::resample::{Pixels, Taps, resample};
use crate::Frame;
use crate::models::manifest::FINDER_INPUTS;

/// How much larger a finer look shows a plate than a look at the whole frame.
const FINER: f64 = 2.0;
/// Finer looks that would show it less than this much larger are not worth their time.
const LEAST_GAIN: f64 = 1.25;

/// One of the finder's inputs, and the part of a frame that it shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Window {
    /// Rows and columns of the input.
    pub(crate) size: (usize, usize),
    /// Columns and rows of the scaled frame to the left of the input and above it.
    first: (usize, usize),
    /// The input's pixels in one of the frame's.
    scale: f64,
}

/// Pixels of a frame's side at a scale.
fn scaled(side: u32, scale: f64) -> usize {
    ((f64::from(side) * scale).round_ties_even() as usize).max(1)
}

impl Window {
    /// The whole frame, in the input in which it is largest.
    pub(crate) fn whole(width: u32, height: u32) -> Self {
        let fit = |(rows, columns): (usize, usize)| {
            (columns as f64 / f64::from(width)).min(rows as f64 / f64::from(height))
        };
        let [first, rest @ ..] = FINDER_INPUTS;
        let size = rest.into_iter().fold(
            first,
            |best, other| {
                if fit(other) > fit(best) { other } else { best }
            },
        );
        Self {
            size,
            first: (0, 0),
            scale: fit(size),
        }
    }

    /// A part of the frame from nearer, with a place of the frame as near to its middle as the
    /// frame's edges allow; `None` if it would not be much nearer.
    pub(crate) fn around(self, frame: &Frame, (x, y): (f32, f32)) -> Option<Self> {
        let scale = (self.scale * FINER).min(1.0);
        if scale < self.scale * LEAST_GAIN {
            return None;
        }
        let (rows, columns) = self.size;
        let first = |at: f32, side: u32, input: usize| {
            let most = scaled(side, scale).saturating_sub(input);
            let middle = f64::from(at) * scale - input as f64 / 2.0;
            (middle.round().max(0.0) as usize).min(most)
        };
        Some(Self {
            size: self.size,
            first: (first(x, frame.width, columns), first(y, frame.height, rows)),
            scale,
        })
    }

    /// The frame's pixel that a place in the input shows.
    fn place(self, (x, y): (f32, f32)) -> (f32, f32) {
        let frame = |at: f32, first: usize| ((f64::from(at) + first as f64) / self.scale) as f32;
        (frame(x, self.first.0), frame(y, self.first.1))
    }

    /// A quad of the input in the frame's pixels.
    pub(crate) fn in_frame(self, quad: &Quad) -> Quad {
        Quad(quad.0.map(|corner| self.place(corner)))
    }

    /// Whether a place of the frame lies in the inner half of this window each way, where a plate
    /// around it would have been seen whole.
    pub(crate) fn shows_well(self, (x, y): (f32, f32)) -> bool {
        let inner = |at: f32, first: usize, input: usize| {
            let at = f64::from(at) * self.scale - first as f64;
            let margin = input as f64 / 4.0;
            (margin..=input as f64 - margin).contains(&at)
        };
        inner(x, self.first.0, self.size.1) && inner(y, self.first.1, self.size.0)
    }
}

/// A window's pixels; its tables last while frame size and window do.
#[derive(Debug, Default)]
pub(crate) struct Fitted {
    made_for: Option<(u32, u32, Window)>,
    columns: Taps,
    rows: Taps,
    pub(crate) picture: Vec<u8>,
}

impl Fitted {
    /// Fills the picture: shrunk by area or enlarged linearly, grey to the right of the frame or
    /// below it.
    pub(crate) fn fill(&mut self, frame: &Frame, window: Window, grey: u8, sums: &mut Vec<f32>) {
        let (rows, columns) = window.size;
        if self.made_for != Some((frame.width, frame.height, window)) {
            let axis = |taps: &mut Taps, side: u32, first: usize, input: usize| {
                let total = scaled(side, window.scale);
                let count = total.saturating_sub(first).clamp(1, input);
                let side = side as usize;
                if window.scale <= 1.0 {
                    taps.area(side, first, count, side as f64 / total as f64);
                } else {
                    taps.linear(side, count);
                }
            };
            axis(&mut self.columns, frame.width, window.first.0, columns);
            axis(&mut self.rows, frame.height, window.first.1, rows);
            self.picture.clear();
            self.picture.resize(rows * columns * 3, grey);
            self.made_for = Some((frame.width, frame.height, window));
        }
        let pixels = Pixels {
            rgb: &frame.rgb,
            width: frame.width as usize,
            height: frame.height as usize,
        };
        resample(
            pixels,
            &self.columns,
            &self.rows,
            &mut self.picture,
            columns,
            sums,
        );
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::picture::Picture;

    fn frame(width: u32, height: u32) -> Frame {
        let rgb = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .flat_map(|(x, y)| [(x * 250 / width) as u8, (y * 250 / height) as u8, 7])
            .collect();
        Picture { rgb, width, height }.into_still().unwrap()
    }

    #[test]
    fn a_frame_is_shown_in_the_input_in_which_it_is_largest() {
        for ((width, height), size) in [
            ((1280, 720), (288, 512)),
            ((720, 1280), (512, 288)),
            ((1000, 1000), (384, 384)),
            ((640, 480), (288, 512)),
            ((480, 640), (384, 384)),
            ((1920, 100), (288, 512)),
            ((1, 1), (384, 384)),
        ] {
            assert_eq!(
                Window::whole(width, height).size,
                size,
                "{width} x {height}"
            );
        }
    }

    #[test]
    fn a_finer_look_shows_the_frames_own_pixels_where_it_says() {
        let frame = frame(900, 700);
        let whole = Window::whole(900, 700);
        let window = whole.around(&frame, (700.0, 300.0)).unwrap();
        let (mut fitted, mut sums) = (Fitted::default(), Vec::new());
        fitted.fill(&frame, window, 90, &mut sums);
        let (rows, columns) = window.size;
        assert_eq!(fitted.picture.len(), rows * columns * 3);
        for (x, y) in [(20, 20), (columns - 20, rows - 20), (columns / 2, rows / 2)] {
            let (fx, fy) = window.place((x as f32 + 0.5, y as f32 + 0.5));
            let pixel = &fitted.picture[(y * columns + x) * 3..][..3];
            // The frame's red says its column, its green its row.
            let wrong = |level: u8, at: f32, side: f32| {
                (f32::from(level) - (at - 0.5) * 250.0 / side).abs() > 1.5
            };
            assert!(
                !wrong(pixel[0], fx, 900.0) && !wrong(pixel[1], fy, 700.0),
                "{pixel:?} {fx} {fy}"
            );
        }
        // Small frames are shown at their own size already.
        assert_eq!(Window::whole(400, 300).around(&frame, (1.0, 1.0)), None);
    }

    proptest! {
        #[test]
        fn a_finer_look_holds_the_place_it_is_about(
            width in 500_u32..3000, height in 400_u32..3000, x in 0.0_f32..1.0, y in 0.0_f32..1.0
        ) {
            let rgb = vec![0; width as usize * height as usize * 3];
            let frame = Picture { rgb, width, height }.into_still().unwrap();
            let at = (x * width as f32, y * height as f32);
            let whole = Window::whole(width, height);
            if let Some(window) = whole.around(&frame, at) {
                prop_assert!(window.scale <= 1.0 && window.scale >= whole.scale * LEAST_GAIN);
                let corner = (window.size.1 as f32, window.size.0 as f32);
                let (from, to) = (window.place((0.0, 0.0)), window.place(corner));
                prop_assert!(from.0 <= at.0 + 1.0 && at.0 <= to.0 + 1.0);
                prop_assert!(from.1 <= at.1 + 1.0 && at.1 <= to.1 + 1.0);
                let mut fitted = Fitted::default();
                fitted.fill(&frame, window, 90, &mut Vec::new());
                prop_assert_eq!(fitted.picture.len(), window.size.0 * window.size.1 * 3);
            }
        }
    }
}
