//! A flat picture laid onto a quadrilateral in perspective.

use crate::picture::Picture;

/// A flat picture with its halves, quarters and so on, so that a small copy is an average of
/// many pixels, as a lens makes it, and not a selection.
#[derive(Debug, Clone)]
pub(crate) struct Texture {
    levels: Vec<Picture>,
}

impl Texture {
    pub(crate) fn new(picture: Picture) -> Self {
        let mut levels = vec![picture];
        while let Some(last) = levels.last().filter(|p| p.width() > 16 && p.height() > 8) {
            let (w, h) = (last.width() / 2, last.height() / 2);
            let mut half = Picture::filled(w, h, [0; 3]);
            for y in 0..h {
                for x in 0..w {
                    let four = [(0, 0), (1, 0), (0, 1), (1, 1)]
                        .map(|(dx, dy)| last.get(2 * x + dx, 2 * y + dy));
                    half.set(
                        x,
                        y,
                        std::array::from_fn(|i| {
                            (four.iter().map(|p| u32::from(p[i])).sum::<u32>() / 4) as u8
                        }),
                    );
                }
            }
            levels.push(half);
        }
        Self { levels }
    }

    /// Draws onto the quad (clockwise from top left), each colour passed through `tone`.
    pub(crate) fn lay(
        &self,
        onto: &mut Picture,
        quad: [[f32; 2]; 4],
        tone: impl Fn([f32; 3]) -> [f32; 3],
    ) {
        let Some(back) = inverse_of_square_to(quad) else {
            return;
        };
        let wide = (quad[1][0] - quad[0][0])
            .hypot(quad[1][1] - quad[0][1])
            .max(1.0);
        let high = (quad[3][0] - quad[0][0])
            .hypot(quad[3][1] - quad[0][1])
            .max(1.0);
        let full = &self.levels[0];
        // Two samples a pixel each way, so a level may have up to two of its pixels for one.
        let shrink = (full.width() as f32 / wide).min(full.height() as f32 / high);
        let level = (shrink / 1.6)
            .log2()
            .ceil()
            .clamp(0.0, self.levels.len() as f32 - 1.0);
        let source = &self.levels[level as usize];
        let xs = quad.map(|p| p[0]);
        let ys = quad.map(|p| p[1]);
        let range = |v: [f32; 4], most: u32| {
            let low = v
                .into_iter()
                .fold(f32::MAX, f32::min)
                .floor()
                .clamp(0.0, most as f32);
            let high = v
                .into_iter()
                .fold(f32::MIN, f32::max)
                .ceil()
                .clamp(0.0, most as f32);
            low as u32..high as u32
        };
        for y in range(ys, onto.height()) {
            for x in range(xs, onto.width()) {
                let mut sum = [0.0_f32; 3];
                let mut hits = 0.0;
                for (dx, dy) in [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)] {
                    let (px, py) = (x as f32 + dx, y as f32 + dy);
                    let w = back[6] * px + back[7] * py + back[8];
                    let u = (back[0] * px + back[1] * py + back[2]) / w;
                    let v = (back[3] * px + back[4] * py + back[5]) / w;
                    if (0.0..1.0).contains(&u) && (0.0..1.0).contains(&v) {
                        let colour = sample(source, u, v);
                        for i in 0..3 {
                            sum[i] += colour[i];
                        }
                        hits += 1.0;
                    }
                }
                if hits > 0.0 {
                    let rgb = tone(sum.map(|v| v / hits)).map(|v| v.clamp(0.0, 255.0) as u8);
                    onto.blend(x, y, rgb, hits / 4.0);
                }
            }
        }
    }
}

/// Bilinear; `u`, `v` from 0 to 1.
fn sample(picture: &Picture, u: f32, v: f32) -> [f32; 3] {
    let (w, h) = (picture.width(), picture.height());
    let x = (u * w as f32 - 0.5).clamp(0.0, (w - 1) as f32);
    let y = (v * h as f32 - 0.5).clamp(0.0, (h - 1) as f32);
    let (x0, y0) = (x as u32, y as u32);
    let (x1, y1) = ((x0 + 1).min(w - 1), (y0 + 1).min(h - 1));
    let (fx, fy) = (x - x0 as f32, y - y0 as f32);
    let [a, b, c, d] =
        [(x0, y0), (x1, y0), (x0, y1), (x1, y1)].map(|(x, y)| picture.get(x, y).map(f32::from));
    std::array::from_fn(|i| {
        let top = a[i] + (b[i] - a[i]) * fx;
        let bottom = c[i] + (d[i] - c[i]) * fx;
        top + (bottom - top) * fy
    })
}

/// The matrix that takes a picture point to the unit square whose corners lie at the quad's
/// (clockwise from top left); nothing if the quad has no area.
fn inverse_of_square_to([a, b, c, d]: [[f32; 2]; 4]) -> Option<[f32; 9]> {
    // Projective map of the unit square after Heckbert (1989), section 2.2.3.
    let (dx1, dx2, sx) = (b[0] - c[0], d[0] - c[0], a[0] - b[0] + c[0] - d[0]);
    let (dy1, dy2, sy) = (b[1] - c[1], d[1] - c[1], a[1] - b[1] + c[1] - d[1]);
    let det = dx1 * dy2 - dx2 * dy1;
    if det.abs() < 1e-3 {
        return None;
    }
    let g = (sx * dy2 - dx2 * sy) / det;
    let h = (dx1 * sy - sx * dy1) / det;
    let m = [
        b[0] - a[0] + g * b[0],
        d[0] - a[0] + h * d[0],
        a[0],
        b[1] - a[1] + g * b[1],
        d[1] - a[1] + h * d[1],
        a[1],
        g,
        h,
        1.0,
    ];
    // The adjugate is the inverse up to a factor, which the division by w removes.
    Some([
        m[4] * m[8] - m[5] * m[7],
        m[2] * m[7] - m[1] * m[8],
        m[1] * m[5] - m[2] * m[4],
        m[5] * m[6] - m[3] * m[8],
        m[0] * m[8] - m[2] * m[6],
        m[2] * m[3] - m[0] * m[5],
        m[3] * m[7] - m[4] * m[6],
        m[1] * m[6] - m[0] * m[7],
        m[0] * m[4] - m[1] * m[3],
    ])
}
