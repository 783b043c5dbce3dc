//! The exact interval of a share, for shares so near to 0 that an approximation will not do.

/// Clopper and Pearson's exact 95 % interval, 0 to 1, for `hits` of `of` independent tries, `of`
/// above 0.
pub(super) fn exact_interval(hits: u64, of: u64) -> (f64, f64) {
    const TAIL: f64 = 0.025;
    let low = match hits {
        0 => 0.0,
        // So many or more are as unlikely as the tail.
        _ => crossing(|p| 1.0 - at_most(hits - 1, of, p) > TAIL),
    };
    let high = if hits >= of {
        1.0
    } else {
        crossing(|p| at_most(hits, of, p) < TAIL)
    };
    (low, high)
}

/// The least share from which on something holds that holds for greater ones too.
fn crossing(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut below, mut above) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(below, above);
        if holds(middle) {
            above = middle;
        } else {
            below = middle;
        }
    }
    above
}

/// The probability of at most `hits` in `of` tries, each with probability `p`.
fn at_most(hits: u64, of: u64, p: f64) -> f64 {
    let (n, yes, no) = (of as f64, p.ln(), (-p).ln_1p());
    // From one term to the next in logarithms, so that none is lost among many tries.
    let mut term = n * no;
    let mut sum = term.exp();
    for k in 0..hits {
        let k = k as f64;
        term += ((n - k) / (k + 1.0)).ln() + yes - no;
        sum += term.exp();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_intervals_are_clopper_and_pearsons() {
        // Newcombe (1998), table I, method 5, but for the last.
        for (hits, of, low, high) in [
            (81, 263, 0.2527, 0.3676),
            (15, 148, 0.0578, 0.1617),
            (0, 20, 0.0, 0.1684),
            (1, 29, 0.0009, 0.1776),
            (20, 20, 0.8316, 1.0),
        ] {
            let (l, h) = exact_interval(hits, of);
            assert!((l - low).abs() < 5e-5 && (h - high).abs() < 5e-5, "{l} {h}");
        }
        let (low, high) = exact_interval(0, 100_000);
        assert!(low == 0.0 && (high - 3.6888e-5).abs() < 1e-8, "{high}");
    }
}
