//! Upright resizing: one engine, whose tables say which source pixels make an output pixel.
//!
//! Columns and rows are independent, so every upright resize is two [`Taps`] tables: one a
//! column, one a row. Area averaging (shrinking) and linear interpolation (enlarging) differ only
//! in their tables. Rows are summed first, over the
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
        self.spans.push(Span {
            start,
            from,
            to: self.weights.len(),
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

    /// Source places that any output needs: from, to (excluded).
    fn reach(&self) -> (usize, usize) {
        let used = || self.spans.iter().filter(|s| s.to > s.from);
        let from = used().map(|s| s.start).min().unwrap_or(0);
        let to = used().map(|s| s.start + s.to - s.from).max().unwrap_or(0);
        (from, to.max(from))
    }
}

/// Resizes into the top left of `out`, which is `stride` pixels wide. `sums` is scratch that
/// grows to one row once.
pub(crate) fn resample(
    source: Pixels<'_>,
    columns: &Taps,
    rows: &Taps,
    out: &mut [u8],
    stride: usize,
    sums: &mut Vec<f32>,
) {
    let (left, right) = columns.reach();
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
            let mut total = [0.0_f32; 3];
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
