//! Input lines: what they are called, and how a raw contact becomes a trusted level.
//!
//! The relay guard reports whether each wired contact is closed. A [`Debouncer`] for each
//! line turns that into "active" or "not active" (a normally-closed contact is active when it
//! is open, so a broken wire reads as active), holds a change back until it has lasted, and
//! says when an input chatters or has been active for longer than anyone believes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::mutation::guard;
use crate::time::Monotonic;

/// An input of a barrier.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Line {
    /// The loop (or radar, or beam) before the boom of the named lane.
    ArrivalLoop(String),
    /// The loop (or radar) under the boom.
    SafetyLoop,
    /// The light beam under the boom.
    LightBeam,
    /// The guard's OPEN button.
    GuardButton,
    /// The fire alarm's contact.
    Fire,
    /// The STOP button.
    Stop,
    /// Active when the boom is fully up.
    OpenedLimit,
    /// Active when the boom is fully down.
    ClosedLimit,
}

/// A text that names no input line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no input line: use arrival_loop:LANE, safety_loop, light_beam, guard_button, \
     fire, stop, opened_limit or closed_limit"
)]
pub struct UnknownLine(String);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ArrivalLoop(lane) => return write!(f, "arrival_loop:{lane}"),
            Self::SafetyLoop => "safety_loop",
            Self::LightBeam => "light_beam",
            Self::GuardButton => "guard_button",
            Self::Fire => "fire",
            Self::Stop => "stop",
            Self::OpenedLimit => "opened_limit",
            Self::ClosedLimit => "closed_limit",
        })
    }
}

impl FromStr for Line {
    type Err = UnknownLine;

    fn from_str(text: &str) -> Result<Self, UnknownLine> {
        Ok(match text {
            "safety_loop" => Self::SafetyLoop,
            "light_beam" => Self::LightBeam,
            "guard_button" => Self::GuardButton,
            "fire" => Self::Fire,
            "stop" => Self::Stop,
            "opened_limit" => Self::OpenedLimit,
            "closed_limit" => Self::ClosedLimit,
            _ => match text.strip_prefix("arrival_loop:") {
                Some(lane) if !lane.is_empty() => Self::ArrivalLoop(lane.to_owned()),
                _ => return Err(UnknownLine(text.to_owned())),
            },
        })
    }
}

impl TryFrom<String> for Line {
    type Error = UnknownLine;

    fn try_from(text: String) -> Result<Self, UnknownLine> {
        text.parse()
    }
}

impl From<Line> for String {
    fn from(line: Line) -> Self {
        line.to_string()
    }
}

/// What is wrong with an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineFault {
    /// Active without a break for longer than its `stuck_after`.
    Stuck,
    /// More than [`CHATTER_CHANGES`] raw changes within one second.
    Chatter,
    /// Not read for longer than its `missing_after`.
    Missing,
}

/// How one input is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DebounceRule {
    /// The contact is closed at rest: active means open.
    pub normally_closed: bool,
    /// How long a change must last before it counts.
    pub debounce: Duration,
    /// Active for longer than this is a fault; `None` where long activity is normal.
    pub stuck_after: Option<Duration>,
    /// Not sampled for longer than this is a fault, and its level is forgotten; `None` where
    /// samples come only with changes.
    pub missing_after: Option<Duration>,
}

/// What a [`Debouncer`] noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineNotice {
    /// The trusted level is known for the first time, or changed.
    Level(bool),
    /// The input became faulty.
    Faulty(LineFault),
    /// The input behaves again.
    Healthy(LineFault),
}

/// Raw changes within one second beyond which an input chatters.
pub const CHATTER_CHANGES: u32 = 20;
const CHATTER_WINDOW: Duration = Duration::from_secs(1);
/// How long a chattering input must be quiet before it is believed healthy.
const QUIET: Duration = Duration::from_secs(10);

/// Turns one raw contact into a trusted level. Pure: time and samples are arguments.
///
/// Until the first level has lasted for the debounce time nothing is known and nothing is
/// said: a long cable that rises slowly against its pull-up must not look like an alarm.
#[derive(Debug)]
pub struct Debouncer {
    rule: DebounceRule,
    raw: Option<(bool, Monotonic)>,
    level: Option<(bool, Monotonic)>,
    window: Monotonic,
    changes: u32,
    chattering: bool,
    stuck: bool,
    /// When the contact was last sampled, and whether that is too long ago.
    sampled: Option<Monotonic>,
    missing: bool,
}

impl Debouncer {
    /// A debouncer that knows nothing yet.
    pub fn new(rule: DebounceRule) -> Self {
        Self {
            rule,
            raw: None,
            level: None,
            window: Monotonic::default(),
            changes: 0,
            chattering: false,
            stuck: false,
            sampled: None,
            missing: false,
        }
    }

    /// Forgets the level, as after the relay guard was lost: what happened meanwhile is
    /// unknown. Faults stay known.
    pub fn forget(&mut self) {
        self.raw = None;
        self.level = None;
    }

    /// The trusted level, once known.
    pub fn active(&self) -> Option<bool> {
        self.level.map(|(active, _)| active)
    }

    /// When the next [`Debouncer::step`] may have something to say without a new sample.
    pub fn deadline(&self) -> Option<Monotonic> {
        let (raw, since) = self.raw?;
        (self.active() != Some(raw)).then(|| since + self.rule.debounce)
    }

    /// Takes a sample of the contact (`Some(closed)`), or only the time (`None`).
    pub fn step(&mut self, now: Monotonic, closed: Option<bool>) -> Vec<LineNotice> {
        let mut notices = Vec::new();
        self.watch_samples(now, closed.is_some(), &mut notices);
        // First what had lasted until now: changes that are heard of late come all at once.
        self.settle(now, &mut notices);
        if let Some(closed) = closed {
            self.sample(now, closed != self.rule.normally_closed, &mut notices);
            self.settle(now, &mut notices);
        }
        let Some((_, since)) = self.raw else {
            return notices;
        };
        if self.chattering && now.since(since) >= QUIET {
            self.chattering = false;
            notices.push(LineNotice::Healthy(LineFault::Chatter));
        }
        if let (Some((active, since)), Some(limit)) = (self.level, self.rule.stuck_after) {
            let stuck = !guard!(Stuck => !active || now.since(since) < limit);
            if stuck != self.stuck {
                self.stuck = stuck;
                notices.push(if stuck {
                    LineNotice::Faulty(LineFault::Stuck)
                } else {
                    LineNotice::Healthy(LineFault::Stuck)
                });
            }
        }
        notices
    }

    fn settle(&mut self, now: Monotonic, notices: &mut Vec<LineNotice>) {
        if let Some((raw, since)) = self.raw
            && self.active() != Some(raw)
            && now.since(since) >= self.rule.debounce
        {
            self.level = Some((raw, now));
            notices.push(LineNotice::Level(raw));
        }
    }

    /// An input that nobody reads any more is neither active nor at rest.
    fn watch_samples(&mut self, now: Monotonic, read: bool, notices: &mut Vec<LineNotice>) {
        let Some(limit) = self.rule.missing_after else {
            return;
        };
        let since = *self.sampled.get_or_insert(now);
        if read {
            self.sampled = Some(now);
        }
        let missing = !guard!(Missing => read || now.since(since) < limit);
        if missing == self.missing {
            return;
        }
        self.missing = missing;
        notices.push(if missing {
            self.forget();
            LineNotice::Faulty(LineFault::Missing)
        } else {
            LineNotice::Healthy(LineFault::Missing)
        });
    }

    fn sample(&mut self, now: Monotonic, active: bool, notices: &mut Vec<LineNotice>) {
        match self.raw {
            Some((before, _)) if before == active => return,
            Some(_) => {
                if now.since(self.window) >= CHATTER_WINDOW {
                    self.window = now;
                    self.changes = 0;
                }
                self.changes = self.changes.saturating_add(1);
                if !guard!(Chatter => self.changes <= CHATTER_CHANGES) && !self.chattering {
                    self.chattering = true;
                    notices.push(LineNotice::Faulty(LineFault::Chatter));
                }
            }
            None => {}
        }
        self.raw = Some((active, now));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use proptest::prelude::*;

    const RULE: DebounceRule = DebounceRule {
        normally_closed: false,
        debounce: Duration::from_millis(30),
        stuck_after: Some(Duration::from_mins(1)),
        missing_after: None,
    };

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_millis(ms)
    }

    #[test]
    fn a_level_counts_once_it_has_lasted() {
        let mut line = Debouncer::new(RULE);
        assert_eq!(line.step(at(0), Some(false)), []);
        assert_eq!(line.active(), None);
        assert_eq!(line.deadline(), Some(at(30)));
        assert_eq!(line.step(at(30), None), [LineNotice::Level(false)]);
        assert_eq!(line.step(at(100), Some(true)), []);
        assert_eq!(line.step(at(120), Some(false)), []);
        assert_eq!(line.step(at(400), None), []);
        assert_eq!(line.step(at(500), Some(true)), []);
        assert_eq!(line.step(at(530), Some(true)), [LineNotice::Level(true)]);
        assert_eq!(line.deadline(), None);
    }

    #[test]
    fn a_broken_wire_of_a_normally_closed_contact_is_active() {
        let mut line = Debouncer::new(DebounceRule {
            normally_closed: true,
            ..RULE
        });
        line.step(at(0), Some(true));
        assert_eq!(line.step(at(30), None), [LineNotice::Level(false)]);
        line.step(at(100), Some(false));
        assert_eq!(line.step(at(130), None), [LineNotice::Level(true)]);
    }

    #[test]
    fn chatter_and_sticking_are_said_once_and_taken_back() {
        let mut line = Debouncer::new(RULE);
        let mut faults = Vec::new();
        for n in 0..100 {
            faults.extend(line.step(at(1000 + n * 5), Some(n % 2 == 0)));
        }
        assert_eq!(faults, [LineNotice::Faulty(LineFault::Chatter)]);
        line.step(at(2000), Some(true));
        assert_eq!(line.step(at(2030), None), [LineNotice::Level(true)]);
        assert_eq!(
            line.step(at(12_000), None),
            [LineNotice::Healthy(LineFault::Chatter)]
        );
        assert_eq!(
            line.step(at(62_030), None),
            [LineNotice::Faulty(LineFault::Stuck)]
        );
        line.step(at(63_000), Some(false));
        assert_eq!(
            line.step(at(63_030), None),
            [
                LineNotice::Level(false),
                LineNotice::Healthy(LineFault::Stuck)
            ]
        );
    }

    #[test]
    fn an_input_that_is_not_read_is_missing_and_must_be_read_anew() {
        let mut line = Debouncer::new(DebounceRule {
            missing_after: Some(Duration::from_millis(500)),
            ..RULE
        });
        line.step(at(0), Some(false));
        assert_eq!(line.step(at(30), Some(false)), [LineNotice::Level(false)]);
        assert_eq!(line.step(at(529), None), []);
        assert_eq!(
            line.step(at(530), None),
            [LineNotice::Faulty(LineFault::Missing)]
        );
        assert_eq!(line.active(), None);
        assert_eq!(
            line.step(at(600), Some(false)),
            [LineNotice::Healthy(LineFault::Missing)]
        );
        assert_eq!(line.step(at(630), Some(false)), [LineNotice::Level(false)]);
    }

    #[test]
    fn what_had_lasted_counts_although_it_is_heard_of_late() {
        let mut line = Debouncer::new(RULE);
        line.step(at(0), Some(false));
        line.step(at(30), None);
        assert_eq!(line.step(at(100), Some(true)), []);
        assert_eq!(line.step(at(219), Some(false)), [LineNotice::Level(true)]);
        assert_eq!(line.step(at(249), None), [LineNotice::Level(false)]);
    }

    #[test]
    fn names_go_there_and_back() {
        for name in [
            "arrival_loop:entry",
            "safety_loop",
            "light_beam",
            "guard_button",
            "fire",
            "stop",
            "opened_limit",
            "closed_limit",
        ] {
            assert_eq!(name.parse::<Line>().unwrap().to_string(), name);
        }
        assert!("arrival_loop:".parse::<Line>().is_err());
        assert!("loop".parse::<Line>().is_err());
    }

    #[test]
    fn before_the_first_sample_nothing_is_due() {
        let mut line = Debouncer::new(RULE);
        assert_eq!((line.step(at(1000), None), line.deadline()), (vec![], None));
        assert_eq!(line.active(), None);
    }

    #[test]
    fn a_contact_that_is_read_often_and_does_not_change_counts() {
        let mut line = Debouncer::new(RULE);
        let mut notices = Vec::new();
        for n in 0..2000 {
            notices.extend(line.step(at(n), Some(true)));
        }
        assert_eq!(notices, [LineNotice::Level(true)]);
    }

    #[test]
    fn after_forgetting_the_level_must_last_anew() {
        let mut line = Debouncer::new(RULE);
        line.step(at(0), Some(true));
        line.step(at(30), None);
        assert_eq!(line.active(), Some(true));
        line.forget();
        assert_eq!((line.active(), line.deadline()), (None, None));
        assert_eq!(line.step(at(100), Some(true)), []);
        assert_eq!(line.step(at(129), None), []);
        assert_eq!(line.step(at(130), None), [LineNotice::Level(true)]);
    }

    /// Twenty changes within a second are bounces, one more is chatter; a second later they count
    /// anew.
    #[test]
    fn chatter_begins_with_the_first_change_too_many() {
        for (changes, window, chatters) in [(20, 999, false), (21, 999, true), (21, 1000, false)] {
            let mut line = Debouncer::new(RULE);
            let mut notices = line.step(at(10_000), Some(false));
            for n in 1..changes {
                notices.extend(line.step(at(10_000 + n), Some(n % 2 == 1)));
            }
            notices.extend(line.step(at(10_001 + window), Some(changes % 2 == 1)));
            let faulty = notices.contains(&LineNotice::Faulty(LineFault::Chatter));
            assert_eq!(faulty, chatters, "{changes} changes in {window} ms");
        }
    }

    #[test]
    fn chatter_is_over_after_ten_quiet_seconds_and_not_before() {
        let mut line = Debouncer::new(RULE);
        for n in 0..30 {
            line.step(at(1000 + n), Some(n % 2 == 0));
        }
        let healthy = LineNotice::Healthy(LineFault::Chatter);
        assert!(!line.step(at(11_028), None).contains(&healthy));
        assert_eq!(line.step(at(11_029), None), [healthy]);
        assert_eq!(line.step(at(30_000), None), []);
    }

    #[test]
    fn a_contact_that_is_at_rest_is_never_stuck() {
        let mut line = Debouncer::new(RULE);
        line.step(at(0), Some(false));
        assert_eq!(line.step(at(30), None), [LineNotice::Level(false)]);
        assert_eq!(line.step(at(600_000), None), []);
        line.step(at(600_000), Some(true));
        assert_eq!(line.step(at(600_030), None), [LineNotice::Level(true)]);
        assert_eq!(line.step(at(660_029), None), []);
        assert_eq!(
            line.step(at(660_030), None),
            [LineNotice::Faulty(LineFault::Stuck)]
        );
        assert_eq!(line.step(at(700_000), None), []);
    }

    #[test]
    fn a_text_that_names_no_line_is_told_which_there_are() {
        let error = "loop".parse::<Line>().unwrap_err().to_string();
        assert!(error.contains("`loop`") && error.contains("safety_loop"));
        let json = serde_json::to_string(&Line::ArrivalLoop("in".into())).unwrap();
        assert_eq!(json, "\"arrival_loop:in\"");
        assert_eq!(
            serde_json::from_str::<Line>(&json).unwrap(),
            Line::ArrivalLoop("in".into())
        );
        assert!(serde_json::from_str::<Line>("\"loop\"").is_err());
    }

    proptest! {
        /// Whatever the contact does, the level changes only after the raw contact has shown
        /// the new level without a break for the debounce time, until this sample or with it, and
        /// never repeats itself.
        #[test]
        fn no_level_without_a_lasting_contact(
            samples in prop::collection::vec((1u64..60, any::<bool>()), 1..200),
        ) {
            let mut line = Debouncer::new(RULE);
            let mut now = 0;
            let mut steady: Option<(bool, u64)> = None;
            let mut level = None;
            for (pause, closed) in samples {
                now += pause;
                let before = steady;
                if steady.is_none_or(|(was, _)| was != closed) {
                    steady = Some((closed, now));
                }
                for notice in line.step(at(now), Some(closed)) {
                    if let LineNotice::Level(active) = notice {
                        prop_assert_ne!(level, Some(active));
                        level = Some(active);
                        let lasted = |(shown, since)| shown == active && now - since >= 30;
                        prop_assert!(before.is_some_and(lasted) || steady.is_some_and(lasted));
                    }
                }
            }
        }
    }
}
