//! Shares with their intervals, and whether a certainty keeps what it promises.

use serde::Serialize;

/// How often something was right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(into = "ShareFigures")]
pub(super) struct Share {
    /// How often it was right.
    pub(super) right: u64,
    /// How often it was tried.
    pub(super) of: u64,
}

/// A share as machines read it; without a single try there is no share.
#[derive(Serialize)]
struct ShareFigures {
    right: u64,
    of: u64,
    share: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
}

impl From<Share> for ShareFigures {
    fn from(share: Share) -> Self {
        let interval = share.interval();
        Self {
            right: share.right,
            of: share.of,
            share: share.value(),
            low: interval.map(|(low, _)| low),
            high: interval.map(|(_, high)| high),
        }
    }
}

impl Share {
    /// Counts one try.
    pub(super) fn add(&mut self, right: bool) {
        self.right += u64::from(right);
        self.of += 1;
    }

    /// The share, 0 to 1; nothing if nothing was tried.
    pub(super) fn value(self) -> Option<f64> {
        (self.of > 0).then(|| self.right as f64 / self.of as f64)
    }

    /// Wilson's 95 % interval, 0 to 1; nothing if nothing was tried.
    pub(super) fn interval(self) -> Option<(f64, f64)> {
        Some(wilson(self.value()?, self.of as f64))
    }
}

/// Wilson's 95 % interval, 0 to 1, for a share `p` of `n` independent tries, `n` above 0.
pub(super) fn wilson(p: f64, n: f64) -> (f64, f64) {
    // The normal distribution's 97.5 % point.
    const Z: f64 = 1.959_963_984_540_054;
    let d = 1.0 + Z * Z / n;
    let centre = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    (
        ((centre - half) / d).max(0.0),
        ((centre + half) / d).min(1.0),
    )
}

impl FromIterator<bool> for Share {
    fn from_iter<T: IntoIterator<Item = bool>>(tries: T) -> Self {
        let mut share = Self::default();
        for right in tries {
            share.add(right);
        }
        share
    }
}

/// Bins of a reliability diagram.
pub(super) const BINS: usize = 10;
/// The parts of the answers, least sure first, that are set aside to see how exact the rest is.
const SET_ASIDE: [f64; 3] = [0.01, 0.05, 0.10];

/// One bin: answers that follow each other by certainty.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Bin {
    /// The least certainty in it.
    pub(super) from: f64,
    /// The greatest.
    pub(super) to: f64,
    /// Their mean: what was promised.
    pub(super) confidence: f64,
    /// What was kept.
    pub(super) exact: Share,
}

/// How exact the answers are without the least sure ones.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct SetAside {
    /// The part that was set aside, 0 to 1.
    pub(super) part: f64,
    /// The rest.
    pub(super) exact: Share,
}

/// Whether certainties keep what they promise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Reliability {
    /// Answers looked at.
    pub(super) answers: u64,
    /// Bins with equally many answers each, least sure first.
    pub(super) bins: Vec<Bin>,
    /// The bins' distances between promised and kept, weighted by their answers; nothing without
    /// an answer. Chance alone makes it greater than 0, the more so the fewer answers there are.
    pub(super) calibration_error: Option<f64>,
    /// What is left when the least sure answers are set aside.
    pub(super) set_aside: Vec<SetAside>,
}

/// The reliability of answers, each a certainty from 0 to 1 and whether it was right.
///
/// Among equally sure answers the right ones are set aside first, so that luck in the order of a
/// file cannot flatter.
pub(super) fn reliability(mut answers: Vec<(f32, bool)>) -> Reliability {
    answers.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
    let count = answers.len();
    let number = BINS.min(count);
    let bins: Vec<Bin> = (0..number)
        .map(|i| &answers[i * count / number..(i + 1) * count / number])
        .filter_map(|bin| {
            let (first, last) = (bin.first()?, bin.last()?);
            let sum: f64 = bin
                .iter()
                .map(|(confidence, _)| f64::from(*confidence))
                .sum();
            Some(Bin {
                from: first.0.into(),
                to: last.0.into(),
                confidence: sum / bin.len() as f64,
                exact: bin.iter().map(|(_, right)| *right).collect(),
            })
        })
        .collect();
    let distance = |bin: &Bin| {
        let kept = bin.exact.value().unwrap_or_default();
        (kept - bin.confidence).abs() * bin.exact.of as f64
    };
    let error = bins.iter().map(distance).sum::<f64>() / count as f64;
    Reliability {
        answers: count as u64,
        bins,
        calibration_error: (count > 0).then_some(error),
        set_aside: SET_ASIDE
            .iter()
            .map(|&part| SetAside {
                part,
                exact: answers[(count as f64 * part) as usize..]
                    .iter()
                    .map(|(_, right)| *right)
                    .collect(),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn intervals_are_wilsons() {
        // Newcombe (1998), table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
        for (right, of, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0000, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let (l, h) = Share { right, of }.interval().unwrap();
            assert!((l - low).abs() < 5e-5 && (h - high).abs() < 5e-5, "{l} {h}");
        }
        assert_eq!(Share::default().interval(), None);
        assert_eq!(Share::default().value(), None);
    }

    #[test]
    fn a_certainty_that_promises_too_much_is_measured() {
        // 100 answers of 0.9, eighty of them right: 0.1 too much.
        let answers: Vec<(f32, bool)> = (0..100).map(|i| (0.9, i % 5 != 0)).collect();
        let told = reliability(answers);
        let error = told.calibration_error.unwrap();
        // All are equally sure, so the right ones come first: bins of right ones and of wrong ones.
        assert!((error - (0.8 * 0.1 + 0.2 * 0.9)).abs() < 1e-6, "{error}");
        let five = &told.set_aside[1].exact;
        assert_eq!((five.right, five.of), (75, 95), "the wrong ones stay");
    }

    #[test]
    fn the_least_sure_are_set_aside() {
        let answers = (0..40).map(|i| (0.5 + 0.01 * i as f32, i >= 2)).collect();
        let told = reliability(answers);
        assert!((told.set_aside[1].part - 0.05).abs() < 1e-9);
        assert_eq!(told.set_aside[1].exact, Share { right: 38, of: 38 });
        assert_eq!(told.set_aside[0].exact, Share { right: 38, of: 40 });
        assert_eq!(reliability(Vec::new()).calibration_error, None);
    }

    proptest! {
        #[test]
        fn an_interval_holds_its_share_and_narrows(right in 0_u64..500, more in 0_u64..500) {
            let of = right + more;
            prop_assume!(of > 0);
            let share = Share { right, of };
            let (low, high) = share.interval().unwrap();
            let p = share.value().unwrap();
            prop_assert!(0.0 <= low && low <= p + 1e-12 && p <= high + 1e-12 && high <= 1.0);
            let ten = Share { right: right * 10, of: of * 10 };
            let (l, h) = ten.interval().unwrap();
            prop_assert!(h - l < high - low);
            // What is not right is wrong: the interval is the mirror of the other one.
            let (l, h) = Share { right: more, of }.interval().unwrap();
            prop_assert!((1.0 - h - low).abs() < 1e-9 && (1.0 - l - high).abs() < 1e-9);
        }

        #[test]
        fn bins_share_all_answers_equally_in_any_order(
            answers in prop::collection::vec((0.0_f32..=1.0, any::<bool>()), 0..300)
        ) {
            let told = reliability(answers.clone());
            let sizes: Vec<u64> = told.bins.iter().map(|b| b.exact.of).collect();
            prop_assert_eq!(sizes.iter().sum::<u64>(), answers.len() as u64);
            if let (Some(least), Some(most)) = (sizes.iter().min(), sizes.iter().max()) {
                prop_assert!(most - least <= 1 && *least > 0);
            }
            for pair in told.bins.windows(2) {
                prop_assert!(pair[0].to <= pair[1].from);
            }
            let right: u64 = told.bins.iter().map(|b| b.exact.right).sum();
            prop_assert_eq!(right, answers.iter().filter(|a| a.1).count() as u64);
            prop_assert!(told.calibration_error.is_none_or(|e| (0.0..=1.0).contains(&e)));
            let mut other = answers;
            other.reverse();
            prop_assert_eq!(reliability(other), told);
        }
    }
}
