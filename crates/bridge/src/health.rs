//! What a device says about itself, and latencies in constant memory.
//!
//! Threads record how long a stage took in [`Latencies`]; the program takes a summary now and
//! then, puts it into a [`HealthReport`] and hands its JSON to the bridge.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::names::Name;
use serde::Serialize;

/// What a device says about itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct HealthReport {
    /// The program's version.
    pub version: String,
    /// Seconds since the program started.
    pub uptime_s: u64,
    /// Whether the wall clock is trusted.
    pub clock_trusted: bool,
    /// The processor's temperature in °C, where the machine tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_temperature_c: Option<f32>,
    /// Resident memory in bytes, children included.
    pub memory_bytes: u64,
    /// The store's size on disk in bytes.
    pub store_bytes: u64,
    /// Events that the broker has not acknowledged.
    pub outbox_depth: u64,
    /// Pictures that were not sent since the start.
    pub pictures_dropped: u64,
    /// Frames a second that each lane looked at.
    pub frames_per_second: BTreeMap<Name, f32>,
    /// How long each stage took since the last report; stages that did nothing are absent.
    pub latency: BTreeMap<Stage, LatencySummary>,
}

impl HealthReport {
    /// As JSON, for [`crate::BridgeHandle::publish_health`].
    ///
    /// # Errors
    /// If it cannot be written as JSON, which no report cannot.
    pub fn to_json(&self) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::to_value(self)
    }
}

/// A stage of the way from frame to relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// A picture's bytes to pixels.
    Decode,
    /// Pixels to plates' corners.
    Detect,
    /// Corners to a reading.
    Read,
    /// A sighting to a verdict.
    Decide,
    /// An admitting verdict to the relay's write.
    Relay,
}

impl Stage {
    /// All of them, in their order.
    pub const ALL: [Self; 5] = [
        Self::Decode,
        Self::Detect,
        Self::Read,
        Self::Decide,
        Self::Relay,
    ];
}

/// How long one stage took, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LatencySummary {
    /// How often it ran.
    pub count: u64,
    /// Half of the runs took no longer.
    pub p50: f64,
    /// Nine in ten took no longer.
    pub p90: f64,
    /// Ninety-nine in a hundred took no longer.
    pub p99: f64,
    /// The longest, exactly.
    pub max: f64,
}

/// One histogram a stage.
#[derive(Debug, Clone, Default)]
pub struct Latencies {
    stages: [Histogram; Stage::ALL.len()],
}

impl Latencies {
    /// Nothing recorded.
    pub fn new() -> Self {
        Self::default()
    }

    /// A run of a stage took so long.
    pub fn record(&mut self, stage: Stage, took: Duration) {
        self.stages[stage as usize].record(took);
    }

    /// A summary of what was recorded since the last one, and begins anew.
    pub fn take(&mut self) -> BTreeMap<Stage, LatencySummary> {
        Stage::ALL
            .into_iter()
            .filter_map(|stage| {
                let histogram = std::mem::take(&mut self.stages[stage as usize]);
                Some((stage, histogram.summary()?))
            })
            .collect()
    }
}

/// Each power of two is cut into this many buckets, so a value is known to 1 in 32.
const STEPS: u64 = 32;
const STEP_BITS: u32 = STEPS.trailing_zeros();

/// Longest span told apart, in microseconds: 2^36 µs, 19 hours.
const LONGEST: u64 = (1 << 36) - 1;

const BUCKETS: usize = bucket(LONGEST) + 1;

/// Where a span of `micros` is counted: below [`STEPS`] exactly, above in steps of 1 in
/// [`STEPS`] of the power of two below it.
const fn bucket(micros: u64) -> usize {
    if micros < STEPS {
        return micros as usize;
    }
    let shift = micros.ilog2() - STEP_BITS;
    ((shift as u64 + 1) * STEPS + ((micros >> shift) - STEPS)) as usize
}

/// The longest span counted in a bucket.
const fn longest_in(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let shift = bucket / STEPS - 1;
    ((bucket % STEPS + STEPS + 1) << shift) - 1
}

/// Spans of time, counted in buckets whose width grows with the span; its size never changes.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Box<[u32; BUCKETS]>,
    count: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: Box::new([0; BUCKETS]),
            count: 0,
            max: 0,
        }
    }
}

impl Histogram {
    /// Counts a span, to the microsecond; spans above 19 hours count as that.
    pub fn record(&mut self, span: Duration) {
        let micros = u64::try_from(span.as_micros())
            .unwrap_or(LONGEST)
            .min(LONGEST);
        let place = &mut self.counts[bucket(micros)];
        *place = place.saturating_add(1);
        self.count += 1;
        self.max = self.max.max(micros);
    }

    /// The span that `share` (0 to 1) of the runs did not exceed: never below the exact one,
    /// and above it by at most 1 in 32. `None` if nothing was counted.
    pub fn percentile(&self, share: f64) -> Option<Duration> {
        let rank = ((self.count as f64 * share).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        self.counts
            .iter()
            .position(|&count| {
                seen += u64::from(count);
                seen >= rank
            })
            .map(|bucket| Duration::from_micros(longest_in(bucket).min(self.max)))
    }

    /// All percentiles of a report; `None` if nothing was counted.
    pub fn summary(&self) -> Option<LatencySummary> {
        let ms = |span: Duration| span.as_secs_f64() * 1e3;
        Some(LatencySummary {
            count: self.count,
            p50: ms(self.percentile(0.5)?),
            p90: ms(self.percentile(0.9)?),
            p99: ms(self.percentile(0.99)?),
            max: ms(Duration::from_micros(self.max)),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn spans() -> impl Strategy<Value = Vec<u64>> {
        let span = (0..36_u32).prop_flat_map(|bits| 0..=(1_u64 << bits));
        prop::collection::vec(span, 1..300)
    }

    proptest! {
        #[test]
        fn percentiles_are_those_of_exact_sorting_to_one_in_32(
            mut spans in spans(),
            share in 0.0..=1.0_f64,
        ) {
            let mut histogram = Histogram::default();
            for &span in &spans {
                histogram.record(Duration::from_micros(span));
            }
            spans.sort_unstable();
            let rank = ((spans.len() as f64 * share).ceil() as usize).clamp(1, spans.len());
            let exact = spans[rank - 1];
            let told = histogram.percentile(share).unwrap().as_micros() as u64;
            prop_assert!(told >= exact, "{told} below {exact}");
            prop_assert!(told <= exact + exact / STEPS, "{told} above {exact}");
            let max = histogram.percentile(1.0).unwrap().as_micros() as u64;
            prop_assert_eq!(max, *spans.last().unwrap());
        }

        #[test]
        fn every_span_has_one_bucket(span in 0..LONGEST) {
            let place = bucket(span);
            prop_assert!(longest_in(place) >= span);
            prop_assert!(place == 0 || longest_in(place - 1) < span);
        }
    }

    #[test]
    fn a_report_says_what_ran_and_begins_anew() {
        let mut latencies = Latencies::new();
        latencies.record(Stage::Read, Duration::from_millis(7));
        latencies.record(Stage::Read, Duration::MAX);
        let report = HealthReport {
            version: "1.2.3".to_owned(),
            latency: latencies.take(),
            frames_per_second: [("in".parse().unwrap(), 9.5)].into(),
            ..HealthReport::default()
        };
        let json = report.to_json().unwrap();
        assert_eq!(json["latency"]["read"]["count"], 2);
        assert!(json["latency"].get("decode").is_none());
        assert!(json.get("cpu_temperature_c").is_none());
        assert_eq!(json["frames_per_second"]["in"], 9.5);
        let p50 = json["latency"]["read"]["p50"].as_f64().unwrap();
        assert!((7.0..7.3).contains(&p50), "{p50}");
        assert!(latencies.take().is_empty());
        assert_eq!(Histogram::default().percentile(0.5), None);
    }
}
