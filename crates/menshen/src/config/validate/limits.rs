//! Bounds of what may be typed, and durations as they are typed.

use std::time::Duration;

use domain::Words;

use super::super::document::Path;
use super::super::read::Findings;

/// A day.
pub(super) const DAY: Duration = Duration::from_hours(24);

/// Seconds.
pub(super) const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Milliseconds.
pub(super) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Refuses `value` outside of `least` to `most`.
pub(super) fn within<T: PartialOrd>(
    value: T,
    (least, most): (T, T),
    path: &Path,
    show: impl Fn(&T) -> String,
    findings: &mut Findings<'_, '_>,
) -> T {
    if !(value >= least && value <= most) {
        let (least, most) = (show(&least), show(&most));
        findings.error(
            path,
            Words::new(
                format!("{} 超出范围", show(&value)),
                format!("{} is out of bounds", show(&value)),
            ),
            Words::new(
                format!("写 {least} 到 {most}"),
                format!("write {least} to {most}"),
            ),
        );
    }
    value
}

/// A duration with its quotes.
pub(super) fn span(value: &Duration) -> String {
    format!("\"{}\"", short(*value))
}

/// A duration as it may be typed: in the largest unit that leaves no rest.
pub(crate) fn short(value: Duration) -> String {
    let (seconds, nanos) = (value.as_secs(), value.subsec_nanos());
    if nanos != 0 || seconds == 0 {
        return if nanos.is_multiple_of(1_000_000) {
            format!("{}ms", value.as_millis())
        } else {
            format!("{}ns", value.as_nanos())
        };
    }
    let (unit, word) = [(86_400, "d"), (3600, "h"), (60, "m")]
        .into_iter()
        .find(|(unit, _)| seconds.is_multiple_of(*unit))
        .unwrap_or((1, "s"));
    format!("{}{word}", seconds / unit)
}
