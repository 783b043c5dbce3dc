//! One character as a mask of ink that fills its box.

use ab_glyph::{Font, FontRef, PxScale};

use super::strokes;

/// Chinese characters of plates and of signs in the street; see `assets/README.md`.
static FONT: &[u8] = include_bytes!("../../assets/plates.otf");

/// Ink of one character, 0 to 1 a pixel, row by row.
#[derive(Debug, Clone)]
pub(crate) struct Mask {
    pub(crate) width: usize,
    pub(crate) ink: Vec<f32>,
}

/// Draws `c` so that its ink fills a box of `width` x `height` pixels; `stroke` is the width
/// of a letter's strokes in pixels (Chinese characters keep the font's). A character that
/// neither the strokes nor the font know stays empty.
pub(crate) fn mask(c: char, width: usize, height: usize, stroke: f32) -> Mask {
    let lines = strokes::lines(c);
    let ink = if lines.is_empty() {
        outlined(c, width, height)
    } else {
        stroked(&lines, width, height, stroke)
    };
    Mask { width, ink }
}

fn stroked(lines: &[Vec<[f32; 2]>], width: usize, height: usize, stroke: f32) -> Vec<f32> {
    let half = stroke / 2.0;
    let (w, h) = (width as f32 - stroke, height as f32 - stroke);
    let lines: Vec<Vec<[f32; 2]>> = lines
        .iter()
        .map(|line| {
            line.iter()
                .map(|[x, y]| [half + x * w, half + y * h])
                .collect()
        })
        .collect();
    let mut ink = vec![0.0_f32; width * height];
    for (i, cell) in ink.iter_mut().enumerate() {
        let at = [(i % width) as f32 + 0.5, (i / width) as f32 + 0.5];
        let near = lines
            .iter()
            .map(|line| distance(line, at))
            .fold(f32::INFINITY, f32::min);
        *cell = (half - near + 0.5).clamp(0.0, 1.0);
    }
    ink
}

/// Distance of a point from a polyline whose two ends are cut straight: beside an end there
/// is no ink, at a joint there is a round one.
fn distance(line: &[[f32; 2]], [px, py]: [f32; 2]) -> f32 {
    let last = line.len() - 2;
    let closed = line
        .first()
        .zip(line.last())
        .is_some_and(|(a, b)| (a[0] - b[0]).abs() + (a[1] - b[1]).abs() < 1e-2);
    let mut near = f32::INFINITY;
    for (i, pair) in line.windows(2).enumerate() {
        let [ax, ay] = pair[0];
        let (dx, dy) = (pair[1][0] - ax, pair[1][1] - ay);
        let length2 = (dx * dx + dy * dy).max(1e-6);
        let t = ((px - ax) * dx + (py - ay) * dy) / length2;
        if !closed && ((i == 0 && t < 0.0) || (i == last && t > 1.0)) {
            continue;
        }
        let t = t.clamp(0.0, 1.0);
        near = near.min((px - ax - t * dx).hypot(py - ay - t * dy));
    }
    near
}

fn outlined(c: char, width: usize, height: usize) -> Vec<f32> {
    let mut ink = vec![0.0_f32; width * height];
    let Ok(font) = FontRef::try_from_slice(FONT) else {
        return ink;
    };
    let id = font.glyph_id(c);
    if id.0 == 0 {
        return ink;
    }
    // First at some size, to learn the ink's own proportions, then stretched to the box.
    let rough = 200.0;
    let Some(shape) = font.outline_glyph(id.with_scale(rough)) else {
        return ink;
    };
    let bounds = shape.px_bounds();
    let scale = PxScale {
        x: rough * width as f32 / bounds.width().max(1.0),
        y: rough * height as f32 / bounds.height().max(1.0),
    };
    let Some(shape) = font.outline_glyph(id.with_scale(scale)) else {
        return ink;
    };
    shape.draw(|x, y, cover| {
        let (x, y) = (x as usize, y as usize);
        if x < width && y < height {
            ink[y * width + x] = cover.clamp(0.0, 1.0);
        }
    });
    ink
}

/// Whether the font or the strokes can draw `c`.
pub(crate) fn drawable(c: char) -> bool {
    !strokes::pieces(c).is_empty()
        || FontRef::try_from_slice(FONT).is_ok_and(|font| font.glyph_id(c).0 != 0)
}
