//! The finder's answer to quads.

use domain::Quad;

/// Shared area, as a part of the smaller one, above which two quads are one plate.
pub(crate) const SAME_PLATE: f32 = 0.3;
/// Shorter edges than this many pixels cannot be a plate.
const LEAST_EDGE: f32 = 1.5;

/// Decodes `9 x rows x columns` values: quads in the input's pixels with their probability,
/// likeliest first, at most `most`, none over `SAME_PLATE` on another.
pub(crate) fn quads(
    values: &[f32],
    columns: usize,
    stride: usize,
    unit: f32,
    threshold: f32,
    most: usize,
) -> Vec<(f32, Quad)> {
    let cells = values.len() / 9;
    let Some((logits, corners)) = values.split_at_checked(cells) else {
        return Vec::new();
    };
    if columns == 0 || cells == 0 {
        return Vec::new();
    }
    let mut likely: Vec<(f32, usize)> = logits
        .iter()
        .map(|logit| 1.0 / (1.0 + (-logit).exp()))
        .zip(0..cells)
        .filter(|(score, _)| *score > threshold)
        .collect();
    // A stable sort: equal scores stay in row order, on every machine.
    likely.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut found: Vec<(f32, Quad)> = Vec::new();
    for (score, cell) in likely {
        if found.len() >= most {
            break;
        }
        let centre = |index: usize| ((index as f32) + 0.5) * stride as f32;
        let (x, y) = (centre(cell % columns), centre(cell / columns));
        let offset = |plane: usize| corners[plane * cells + cell] * unit;
        let quad = Quad(std::array::from_fn(|corner| {
            (x + offset(2 * corner), y + offset(2 * corner + 1))
        }));
        if is_plausible(&quad) && found.iter().all(|(_, q)| quad.overlap(q) <= SAME_PLATE) {
            found.push((score, quad));
        }
    }
    found
}

/// Whether the corners go clockwise around a convex shape with edges of some length.
pub(crate) fn is_plausible(quad: &Quad) -> bool {
    let c = quad.0;
    if c.iter().any(|(x, y)| !x.is_finite() || !y.is_finite()) {
        return false;
    }
    (0..4).all(|i| {
        let (a, b, d) = (c[i], c[(i + 1) % 4], c[(i + 2) % 4]);
        let (ux, uy) = (b.0 - a.0, b.1 - a.1);
        let (vx, vy) = (d.0 - b.0, d.1 - b.1);
        ux.hypot(uy) >= LEAST_EDGE && ux * vy - uy * vx > 0.0
    })
}

/// Whether the quad's centre is in the frame and no corner is farther out than half its width.
pub(crate) fn is_inside(quad: &Quad, width: u32, height: u32) -> bool {
    let (width, height) = (width as f32, height as f32);
    let (x, y) = quad.centre();
    let (left, top, right, bottom) = quad.bounds();
    let out = (right - left) / 2.0;
    (0.0..=width).contains(&x)
        && (0.0..=height).contains(&y)
        && left >= -out
        && top >= -out
        && right <= width + out
        && bottom <= height + out
}
