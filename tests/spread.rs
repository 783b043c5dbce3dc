//! How measured times are spread, for the benches.

use std::fmt::{self, Write as _};

/// Measured times in milliseconds, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread(Vec<f64>);

impl Spread {
    /// Of at least one time; none without.
    pub fn of(mut ms: Vec<f64>) -> Option<Self> {
        ms.sort_by(f64::total_cmp);
        (!ms.is_empty()).then_some(Self(ms))
    }

    /// The time that this part of them, 0 to 1, does not exceed.
    pub fn at(&self, part: f64) -> f64 {
        self.0[((self.0.len() - 1) as f64 * part).round() as usize]
    }

    /// One line for every `width` milliseconds that has any, with a bar as long as their share.
    pub fn bars(&self, width: usize) -> String {
        let bucket = |t: f64| (t.max(0.0) / width as f64) as usize * width;
        let mut bars = String::new();
        for from in (bucket(self.at(0.0))..=bucket(self.at(1.0))).step_by(width) {
            let count = self.0.iter().filter(|t| bucket(**t) == from).count();
            if count > 0 {
                let bar = "#".repeat((count * 60).div_ceil(self.0.len()));
                // A String takes everything.
                let _ = writeln!(bars, "{from:4} to {:4} ms {count:5} {bar}", from + width);
            }
        }
        bars
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} trials: min {:.1}, p50 {:.1}, p90 {:.1}, p99 {:.1}, max {:.1} ms",
            self.0.len(),
            self.at(0.0),
            self.at(0.5),
            self.at(0.9),
            self.at(0.99),
            self.at(1.0)
        )
    }
}
