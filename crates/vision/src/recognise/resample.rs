//! Upright resizing: one engine, whose tables say which source pixels make an output pixel.
//!
//! Columns and rows are independent, so every upright resize is two [`Taps`] tables: one a
//! column, one a row. Area averaging (shrinking), linear interpolation (enlarging) and a blurred
//! view of a part of the frame differ only in their tables. Rows are summed first, over the
//! needed columns, in `f32`; then columns. Tables are kept for as long as the frame's size stays.

/// RGB pixels that somebody else owns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pixels<'a> {
    /// Row by row, three bytes a pixel.
    pub(crate) rgb: &'a [u8],
    /// Columns.
    pub(crate) width: usize,
    /// Rows.
    pub(crate) height: usize,
}

/// For every output place, the first source place and the weights from there on.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Taps {
    spans: Vec<Span>,
    weights: Vec<f32>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Span {
    /// First source place.
    start: usize,
    /// Weights in [`Taps::weights`].
    from: usize,
    to: usize,
    /// Sum of the weights: below 1 where the output reaches beyond the source.
    cover: f32,
}

/// Weights smaller than this part of a pixel are rounding, not picture.
const NEGLIGIBLE: f64 = 1e-3;

impl Taps {
    /// Output places.
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    fn weights(&self, span: &Span) -> &[f32] {
        &self.weights[span.from..span.to]
    }

    fn clear(&mut self) {
        self.spans.clear();
        self.weights.clear();
    }

    fn push(&mut self, start: usize, weights: impl IntoIterator<Item = f64>) {
        let from = self.weights.len();
        self.weights.extend(weights.into_iter().map(|w| w as f32));
        let cover = self.weights[from..].iter().sum();
        self.spans.push(Span {
            start,
            from,
            to: self.weights.len(),
            cover,
        });
    }

    /// Averages over area: output place `first + i` covers the source from
    /// `(first + i) * scale` to one `scale` more. `scale` is at least 1.
    pub(crate) fn area(&mut self, source: usize, first: usize, count: usize, scale: f64) {
        self.clear();
        for place in first..first + count {
            let left = place as f64 * scale;
            let right = (left + scale).min(source as f64);
            let last = source - 1;
            let begin = ((left + NEGLIGIBLE).floor() as usize).min(last);
            let end = ((right - NEGLIGIBLE).ceil() as usize).clamp(begin + 1, source);
            let part = |pixel: usize| {
                let pixel = pixel as f64;
                (right.min(pixel + 1.0) - left.max(pixel)).max(0.0)
            };
            let total: f64 = (begin..end).map(part).sum();
            if total > 0.0 {
                self.push(begin, (begin..end).map(|p| part(p) / total));
            } else {
                self.push(begin, [1.0]);
            }
        }
    }

    /// Linear interpolation between pixel centres, the border repeated.
    pub(crate) fn linear(&mut self, source: usize, count: usize) {
        self.clear();
        let scale = source as f64 / count as f64;
        let last = (source - 1) as f64;
        for place in 0..count {
            let at = ((place as f64 + 0.5) * scale - 0.5).clamp(0.0, last);
            let start = (at.floor() as usize).min(source - 1);
            let part = at - start as f64;
            if part > 0.0 && start + 1 < source {
                self.push(start, [1.0 - part, part]);
            } else {
                self.push(start, [1.0]);
            }
        }
    }

    /// A view: output place `i` looks at source place `(i - shift) / zoom`, linearly
    /// interpolated, and blurred before by a Gaussian of `sigma` source pixels (0: not). Weight
    /// that falls beyond the source is left out, so that the engine fills it with grey.
    pub(crate) fn view(&mut self, source: usize, count: usize, zoom: f64, shift: f64, sigma: f64) {
        self.clear();
        let kernel = gaussian(sigma);
        let radius = (kernel.len() / 2) as i64;
        let end = source as i64;
        let mut sums: Vec<f64> = Vec::new();
        for place in 0..count {
            let at = (place as f64 - shift) / zoom;
            let low = at.floor();
            let part = at - low;
            // The two pixels on either side, if they are in the picture.
            let sides = [(low as i64, 1.0 - part), (low as i64 + 1, part)];
            let inside = |p: i64, w: f64| w > 0.0 && (0..end).contains(&p);
            let centres = sides.iter().filter(|&&(p, w)| inside(p, w));
            let Some(first) = centres.clone().map(|s| s.0).min() else {
                self.push(0, []);
                continue;
            };
            let from = (first - radius).max(0);
            let to = (first + 1 + radius).min(end - 1).max(from);
            sums.clear();
            sums.resize((to - from + 1) as usize, 0.0);
            for &(centre, weight) in centres {
                for (offset, k) in (-radius..=radius).zip(&kernel) {
                    let mirrored = mirror(centre + offset, end).clamp(from, to);
                    if let Some(sum) = sums.get_mut((mirrored - from) as usize) {
                        *sum += weight * k;
                    }
                }
            }
            self.push(from as usize, sums.iter().copied());
        }
    }

    /// Source places that any output needs: from, to (excluded).
    fn reach(&self) -> (usize, usize) {
        let used = || self.spans.iter().filter(|s| s.to > s.from);
        let from = used().map(|s| s.start).min().unwrap_or(0);
        let to = used().map(|s| s.start + s.to - s.from).max().unwrap_or(0);
        (from, to.max(from))
    }
}

/// A Gaussian's weights out to three sigma; `[1]` where there is nothing to blur.
fn gaussian(sigma: f64) -> Vec<f64> {
    if sigma <= 0.0 {
        return vec![1.0];
    }
    let radius = (sigma * 3.0).round().max(1.0) as i64;
    let raw: Vec<f64> = (-radius..=radius)
        .map(|i| (-((i * i) as f64) / (2.0 * sigma * sigma)).exp())
        .collect();
    let total: f64 = raw.iter().sum();
    raw.into_iter().map(|w| w / total).collect()
}

/// A place beyond the border as the mirrored one inside, the border pixel itself not repeated.
fn mirror(place: i64, end: i64) -> i64 {
    if end == 1 {
        return 0;
    }
    let period = 2 * (end - 1);
    let p = place.rem_euclid(period);
    if p < end { p } else { period - p }
}

/// Resizes into the top left of `out`, which is `stride` pixels wide; where the tables reach
/// beyond the source, `grey` shows. `sums` is scratch that grows to one row once.
pub(crate) fn resample(
    source: Pixels<'_>,
    columns: &Taps,
    rows: &Taps,
    grey: u8,
    out: &mut [u8],
    stride: usize,
    sums: &mut Vec<f32>,
) {
    let (left, right) = columns.reach();
    let grey = f32::from(grey);
    sums.clear();
    sums.resize((right - left) * 3, 0.0);
    for (row, line) in rows.spans.iter().zip(out.chunks_exact_mut(stride * 3)) {
        let weights = rows.weights(row);
        let pixels = source
            .rgb
            .chunks_exact(source.width * 3)
            .skip(row.start)
            .zip(weights);
        sums.fill(0.0);
        for (samples, &weight) in pixels {
            for (sum, &sample) in sums.iter_mut().zip(&samples[left * 3..right * 3]) {
                *sum += weight * f32::from(sample);
            }
        }
        for (column, pixel) in columns.spans.iter().zip(line.chunks_exact_mut(3)) {
            let weights = columns.weights(column);
            let mut total = [(1.0 - row.cover * column.cover) * grey; 3];
            let from = column.start.saturating_sub(left) * 3;
            for (samples, &weight) in sums[from..].chunks_exact(3).zip(weights) {
                total[0] += weight * samples[0];
                total[1] += weight * samples[1];
                total[2] += weight * samples[2];
            }
            for (byte, value) in pixel.iter_mut().zip(total) {
                *byte = (value + 0.5) as u8;
            }
        }
    }
}
