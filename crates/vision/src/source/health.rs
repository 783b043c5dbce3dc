//! When to open, close and reopen a camera, and what to say about it.
//!
//! A pure state machine: what happened and the time go in, actions come out. No clock, no I/O,
//! no random source of its own.
//!
//! ```text
//!            Open                first picture
//! waiting ─────────► opening ────────────────► streaming ⇄ frozen
//!    ▲                  │ failed, or too late       │ failed, or silent
//!    └── back-off ◄─────┴───────────────────────────┘
//! ```

use std::collections::HashMap;
use std::time::Duration;

use domain::Monotonic;

/// The delay before the first attempt to reopen (before jitter).
pub const FIRST_DELAY: Duration = Duration::from_millis(100);

/// The longest delay between two attempts.
pub const LONGEST_DELAY: Duration = Duration::from_secs(2);

/// A camera that has streamed this long is not punished for earlier failures.
pub const STEADY: Duration = Duration::from_secs(2);

/// How long refusals for a cause that was reported are only counted: a folder shown round and
/// round has the same bad files each time.
pub const REFUSAL_AGAIN: Duration = Duration::from_hours(1);

/// Distinct causes of refusal that are remembered. While that many are known, further ones are
/// not reported, so that no camera fills the journal or the memory.
pub const CAUSES_MAX: usize = 1_000;

/// How long things may take; `None` means for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// From opening to the first picture.
    pub first_picture: Option<Duration>,
    /// Between two pictures.
    pub silent_after: Option<Duration>,
    /// Showing one same picture.
    pub frozen_after: Option<Duration>,
    /// Between two reports of refused pictures, whatever their causes.
    pub refusal_gap: Duration,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// A picture came.
    Picture {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Equal for equal pictures.
        fingerprint: u64,
    },
    /// Something came that is no usable picture.
    Refused(String),
    /// The stream broke off or could not be opened.
    Failed(String),
    /// The stream is over and there is no more to come (a file was played to its end).
    Ended,
}

/// A change that others should know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Pictures arrive; also when their size has changed.
    Online {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// No pictures arrive any more. Attempts to reopen go on.
    Offline {
        /// What went wrong, and where there is one, the cure.
        reason: String,
    },
    /// The stream is alive but has been showing one same picture.
    Frozen {
        /// When that picture first came.
        since: Monotonic,
    },
    /// A frozen stream shows something else again.
    Unfrozen,
    /// What came is no usable picture; the stream goes on. Said of each cause once in
    /// [`REFUSAL_AGAIN`] at most.
    Refused {
        /// The cause.
        reason: String,
        /// How many were refused for it since it was last reported.
        count: u64,
    },
    /// The file or folder was played to its end; nothing more comes.
    Ended,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Open the stream.
    Open,
    /// Close the stream.
    Close,
    /// Tell the others.
    Report(Change),
    /// Stop for good.
    Finish,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Waiting {
        until: Monotonic,
    },
    Opening {
        since: Monotonic,
    },
    Streaming {
        since: Monotonic,
        last: Monotonic,
        size: (u32, u32),
        still: Still,
    },
    Finished,
}

/// The picture that is being shown, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Still {
    fingerprint: u64,
    since: Monotonic,
    frozen: bool,
}

#[derive(Debug, Clone, Default)]
struct Refusals {
    /// By the reason given.
    causes: HashMap<String, Cause>,
    reported_at: Option<Monotonic>,
    last_reason: Option<String>,
}

/// What is known of one cause of refusal.
#[derive(Debug, Clone)]
struct Cause {
    seen_at: Monotonic,
    reported_at: Option<Monotonic>,
    unreported: u64,
}

/// The state of one camera.
#[derive(Debug, Clone)]
pub struct Health {
    limits: Limits,
    phase: Phase,
    failures: u32,
    /// Whether the last state reported was offline.
    known_offline: bool,
    refusals: Refusals,
}

impl Health {
    /// A camera that is to be opened at once.
    pub fn new(limits: Limits, now: Monotonic) -> Self {
        Self {
            limits,
            phase: Phase::Waiting { until: now },
            failures: 0,
            known_offline: false,
            refusals: Refusals::default(),
        }
    }

    /// Takes what happened at `now`. `jitter` is a fresh random number from 0 up to 1.
    ///
    /// Inputs about a stream that is not open are ignored.
    pub fn step(&mut self, now: Monotonic, input: Input, jitter: f64) -> Vec<Action> {
        match (&mut self.phase, input) {
            (Phase::Finished, _) => Vec::new(),
            (Phase::Waiting { until }, _) => {
                if now < *until {
                    return Vec::new();
                }
                self.phase = Phase::Opening { since: now };
                vec![Action::Open]
            }
            (_, Input::Failed(reason)) => self.fail(now, reason, jitter),
            (_, Input::Ended) => {
                self.phase = Phase::Finished;
                vec![Action::Close, Action::Report(Change::Ended), Action::Finish]
            }
            (_, Input::Refused(reason)) => {
                let mut actions = self.refuse(now, reason);
                actions.extend(self.tick(now, jitter));
                actions
            }
            (_, Input::Tick) => self.tick(now, jitter),
            (
                _,
                Input::Picture {
                    width,
                    height,
                    fingerprint,
                },
            ) => self.picture(now, (width, height), fingerprint),
        }
    }

    /// How long nothing needs to be done if nothing happens: until the next attempt to open.
    pub fn idle_until(&self) -> Option<Monotonic> {
        match self.phase {
            Phase::Waiting { until } => Some(until),
            _ => None,
        }
    }

    /// The size of the pictures that arrive, in pixels: width and height.
    pub fn size(&self) -> Option<(u32, u32)> {
        match self.phase {
            Phase::Streaming { size, .. } => Some(size),
            _ => None,
        }
    }

    fn picture(&mut self, now: Monotonic, size: (u32, u32), fingerprint: u64) -> Vec<Action> {
        let online = Action::Report(Change::Online {
            width: size.0,
            height: size.1,
        });
        let fresh = Still {
            fingerprint,
            since: now,
            frozen: false,
        };
        let Phase::Streaming {
            since,
            last,
            size: shown,
            still,
        } = &mut self.phase
        else {
            self.phase = Phase::Streaming {
                since: now,
                last: now,
                size,
                still: fresh,
            };
            self.known_offline = false;
            return vec![online];
        };
        let mut actions = Vec::new();
        *last = now;
        if now.since(*since) >= STEADY {
            self.failures = 0;
        }
        if still.fingerprint != fingerprint || *shown != size {
            if still.frozen {
                actions.push(Action::Report(Change::Unfrozen));
            }
            *still = fresh;
        } else if let Some(limit) = self.limits.frozen_after
            && !still.frozen
            && now.since(still.since) >= limit
        {
            still.frozen = true;
            actions.push(Action::Report(Change::Frozen { since: still.since }));
        }
        if *shown != size {
            *shown = size;
            actions.push(online);
        }
        actions
    }

    fn refuse(&mut self, now: Monotonic, reason: String) -> Vec<Action> {
        let refusals = &mut self.refusals;
        refusals.last_reason = Some(reason.clone());
        let causes = &mut refusals.causes;
        if causes.len() >= CAUSES_MAX && !causes.contains_key(&reason) {
            causes.retain(|_, cause| now.since(cause.seen_at) < REFUSAL_AGAIN);
            if causes.len() >= CAUSES_MAX {
                return Vec::new();
            }
        }
        let cause = causes.entry(reason.clone()).or_insert(Cause {
            seen_at: now,
            reported_at: None,
            unreported: 0,
        });
        cause.seen_at = now;
        cause.unreported += 1;
        let rested =
            |at: Option<Monotonic>, rest| at.is_none_or(|at: Monotonic| now.since(at) >= rest);
        if !rested(cause.reported_at, REFUSAL_AGAIN)
            || !rested(refusals.reported_at, self.limits.refusal_gap)
        {
            return Vec::new();
        }
        let count = std::mem::take(&mut cause.unreported);
        cause.reported_at = Some(now);
        refusals.reported_at = Some(now);
        vec![Action::Report(Change::Refused { reason, count })]
    }

    fn tick(&mut self, now: Monotonic, jitter: f64) -> Vec<Action> {
        let (since, limit) = match &self.phase {
            Phase::Opening { since } => (*since, self.limits.first_picture),
            Phase::Streaming { last, .. } => (*last, self.limits.silent_after),
            _ => return Vec::new(),
        };
        match limit {
            Some(limit) if now.since(since) >= limit => {
                let seconds = limit.as_secs_f32();
                let reason = match &self.refusals.last_reason {
                    Some(refused) => format!(
                        "no usable picture for {seconds} s; the last one was refused: {refused}"
                    ),
                    None => format!(
                        "no picture for {seconds} s; is the camera on, and is this its video stream?"
                    ),
                };
                self.fail(now, reason, jitter)
            }
            _ => Vec::new(),
        }
    }

    fn fail(&mut self, now: Monotonic, reason: String, jitter: f64) -> Vec<Action> {
        self.phase = Phase::Waiting {
            until: now + back_off(self.failures, jitter),
        };
        self.failures = self.failures.saturating_add(1);
        self.refusals.last_reason = None;
        let mut actions = vec![Action::Close];
        if !self.known_offline {
            self.known_offline = true;
            actions.push(Action::Report(Change::Offline { reason }));
        }
        actions
    }
}

/// The delay after the `failures`-th failure in a row (from 0): doubling from
/// [`FIRST_DELAY`] to [`LONGEST_DELAY`], of which jitter (0 up to 1) takes up to half away, so
/// that many cameras behind one switch do not all call at the same moment.
pub fn back_off(failures: u32, jitter: f64) -> Duration {
    let full = FIRST_DELAY
        .saturating_mul(1 << failures.min(16))
        .min(LONGEST_DELAY);
    full.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use proptest::prelude::*;

    fn limits() -> Limits {
        Limits {
            first_picture: Some(Duration::from_secs(15)),
            silent_after: Some(Duration::from_secs(5)),
            frozen_after: Some(Duration::from_secs(30)),
            refusal_gap: Duration::from_secs(10),
        }
    }

    fn ms(at: u64) -> Monotonic {
        Monotonic::from_millis(at)
    }

    fn shown(fingerprint: u64) -> Input {
        Input::Picture {
            width: 4,
            height: 3,
            fingerprint,
        }
    }

    fn input() -> impl Strategy<Value = Input> {
        prop_oneof![
            4 => Just(Input::Tick),
            6 => (1_u32..3, 0_u64..2).prop_map(|(width, fingerprint)| Input::Picture {
                width, height: 3, fingerprint
            }),
            2 => Just(Input::Refused("bad".to_owned())),
            2 => Just(Input::Failed("gone".to_owned())),
            1 => Just(Input::Ended),
        ]
    }

    proptest! {
        /// Whatever happens: opening and closing alternate, the reports tell a consistent
        /// story, and a camera that is down is tried again within the longest delay.
        #[test]
        fn the_story_told_is_consistent(
            steps in proptest::collection::vec((0_u64..8_000, input(), 0.0_f64..1.0), 1..200),
        ) {
            let mut health = Health::new(limits(), ms(0));
            let (mut now, mut open, mut finished) = (0, false, false);
            let mut state: Option<Change> = None;
            let mut size = None;
            let mut down_since = Some(0);
            for (passed, input, jitter) in steps {
                now += passed;
                let actions = health.step(ms(now), input, jitter);
                prop_assert!(!finished || actions.is_empty());
                for action in actions {
                    match action {
                        Action::Open => { prop_assert!(!open); open = true; down_since = None; }
                        Action::Close => { prop_assert!(open); open = false; down_since = Some(now); }
                        Action::Finish => finished = true,
                        Action::Report(change) => {
                            match &change {
                                Change::Online { width, height } => {
                                    prop_assert!(open);
                                    prop_assert!(size != Some((*width, *height)));
                                    size = Some((*width, *height));
                                }
                                Change::Offline { .. } => {
                                    let again = matches!(state, Some(Change::Offline { .. }));
                                    prop_assert!(!again);
                                    size = None;
                                }
                                Change::Frozen { since } => {
                                    let before =
                                        matches!(state, Some(Change::Online { .. } | Change::Unfrozen));
                                    prop_assert!(before);
                                    prop_assert!(ms(now).since(*since) >= Duration::from_secs(30));
                                }
                                Change::Unfrozen => {
                                    let before = matches!(state, Some(Change::Frozen { .. }));
                                    prop_assert!(before);
                                }
                                Change::Refused { count, .. } => {
                                    prop_assert!(*count > 0);
                                    continue;
                                }
                                Change::Ended => {}
                            }
                            state = Some(change);
                        }
                    }
                }
                if let (Some(since), Some(until)) = (down_since, health.idle_until()) {
                    prop_assert!(until.since(ms(since)) <= LONGEST_DELAY);
                }
            }
        }

        #[test]
        fn the_delay_grows_to_its_cap(failures in any::<u32>(), jitter in 0.0_f64..1.0) {
            let delay = back_off(failures, jitter);
            prop_assert!(delay >= FIRST_DELAY / 2 && delay <= LONGEST_DELAY);
            prop_assert!(back_off(failures.saturating_add(1), jitter) >= delay);
            if failures >= 5 {
                prop_assert!(delay >= LONGEST_DELAY / 2);
            }
        }

        /// Ticking every 100 ms, a camera whose every attempt fails is tried at least every
        /// 2.1 s, and said to be offline once.
        #[test]
        fn a_dead_camera_is_tried_again_and_again(jitter in 0.0_f64..1.0) {
            let mut health = Health::new(limits(), ms(0));
            let (mut attempts, mut reports) = (Vec::new(), 0);
            let mut queue: Option<Input> = None;
            for now in (0..60_000).step_by(100) {
                for action in health.step(ms(now), queue.take().unwrap_or(Input::Tick), jitter) {
                    match action {
                        Action::Open => {
                            attempts.push(now);
                            queue = Some(Input::Failed("refused".to_owned()));
                        }
                        Action::Report(Change::Offline { .. }) => reports += 1,
                        _ => {}
                    }
                }
            }
            prop_assert_eq!(reports, 1);
            prop_assert!(attempts.len() >= 28);
            prop_assert!(attempts.windows(2).all(|pair| pair[1] - pair[0] <= 2_200));
        }
    }

    #[test]
    fn one_same_picture_is_frozen_after_its_time_and_a_new_one_ends_it() {
        let mut health = Health::new(limits(), ms(0));
        assert_eq!(health.step(ms(0), Input::Tick, 0.0), [Action::Open]);
        let online = Change::Online {
            width: 4,
            height: 3,
        };
        assert_eq!(
            health.step(ms(1_000), shown(7), 0.0),
            [Action::Report(online)]
        );
        for at in (2_000..31_000).step_by(1_000) {
            assert_eq!(health.step(ms(at), shown(7), 0.0), []);
        }
        let frozen = Action::Report(Change::Frozen { since: ms(1_000) });
        assert_eq!(health.step(ms(31_000), shown(7), 0.0), [frozen]);
        assert_eq!(health.step(ms(32_000), shown(7), 0.0), []);
        assert_eq!(
            health.step(ms(33_000), shown(8), 0.0),
            [Action::Report(Change::Unfrozen)]
        );
    }

    #[test]
    fn silence_closes_the_stream_and_names_the_reason() {
        let mut health = Health::new(limits(), ms(0));
        health.step(ms(0), Input::Tick, 0.0);
        health.step(ms(100), shown(1), 0.0);
        assert_eq!(health.step(ms(5_099), Input::Tick, 0.0), []);
        let refused = health.step(ms(5_099), Input::Refused("no JPEG".to_owned()), 0.0);
        assert!(matches!(
            &refused[..],
            [Action::Report(Change::Refused { count: 1, .. })]
        ));
        let actions = health.step(ms(5_100), Input::Tick, 0.0);
        let [Action::Close, Action::Report(Change::Offline { reason })] = &actions[..] else {
            panic!("{actions:?}");
        };
        assert!(reason.contains("no JPEG"), "{reason}");
        assert_eq!(health.idle_until(), Some(ms(5_150)));
    }

    /// A camera that shows `pictures` (none: a refused one by its reason) again and again, one
    /// every `period` milliseconds, until `end`; the reports of refusals with their times.
    fn refusals(
        health: &mut Health,
        pictures: &[&str],
        period: u64,
        times: std::ops::Range<u64>,
    ) -> Vec<(u64, String, u64)> {
        let mut reports = Vec::new();
        let slots = times.step_by(period as usize);
        for (at, reason) in slots.zip(pictures.iter().cycle()) {
            let input = match *reason {
                "" => shown(at),
                reason => Input::Refused(reason.to_owned()),
            };
            for action in health.step(ms(at), input, 0.0) {
                if let Action::Report(Change::Refused { reason, count }) = action {
                    reports.push((at, reason, count));
                }
            }
        }
        reports
    }

    const HOUR: u64 = 3_600_000;

    /// A camera whose reports of refusals nothing but their pace holds back.
    fn open(refusal_gap: Duration) -> Health {
        let limits = Limits {
            first_picture: None,
            silent_after: None,
            frozen_after: None,
            refusal_gap,
        };
        let mut health = Health::new(limits, ms(0));
        health.step(ms(0), Input::Tick, 0.0);
        health.step(ms(0), shown(0), 0.0);
        health
    }

    /// A folder in a loop, for which nothing paces the reports but this.
    #[test]
    fn each_cause_is_reported_once_an_hour_and_a_new_one_at_once() {
        let mut health = open(Duration::ZERO);
        let said = |at, reason: &str, count| (at, reason.to_owned(), count);
        let round = ["", "a.jpg: cut short", "b.jpg: empty"];
        assert_eq!(
            refusals(&mut health, &round, 1_000, 0..2 * HOUR),
            [
                said(1_000, "a.jpg: cut short", 1),
                said(2_000, "b.jpg: empty", 1),
                said(HOUR + 1_000, "a.jpg: cut short", 1_200),
                said(HOUR + 2_000, "b.jpg: empty", 1_200),
            ]
        );
        let longer = ["c.jpg: empty", "", "a.jpg: cut short"];
        assert_eq!(
            refusals(&mut health, &longer, 1_000, 2 * HOUR..2 * HOUR + 9_000),
            [
                said(2 * HOUR, "c.jpg: empty", 1),
                said(2 * HOUR + 2_000, "a.jpg: cut short", 1_200),
            ]
        );
    }

    #[test]
    fn causes_that_follow_closely_wait_for_the_gap_and_are_counted_meanwhile() {
        let mut health = open(Duration::from_secs(10));
        assert_eq!(
            refusals(&mut health, &["first", "second"], 1_000, 1_000..20_000),
            [
                (1_000, "first".to_owned(), 1),
                (12_000, "second".to_owned(), 6)
            ]
        );
    }

    #[test]
    fn endlessly_many_causes_fill_neither_the_journal_nor_the_memory() {
        let mut health = open(Duration::ZERO);
        let mut reports = 0;
        let mut refuse = |at: u64| {
            let reason = format!("unlike all before: {at}");
            let actions = health.step(ms(at), Input::Refused(reason), 0.0);
            reports += actions
                .iter()
                .filter(|a| matches!(a, Action::Report(Change::Refused { .. })))
                .count();
            assert!(health.refusals.causes.len() <= CAUSES_MAX);
        };
        (0..2 * CAUSES_MAX as u64).for_each(&mut refuse);
        // An hour later the old ones are forgotten.
        (HOUR..HOUR + 10_000).for_each(&mut refuse);
        assert_eq!(reports, 2 * CAUSES_MAX);
    }

    #[test]
    fn a_camera_that_flaps_is_not_hammered_and_a_steady_one_is_forgiven() {
        let mut health = Health::new(limits(), ms(0));
        let mut now = 0;
        let mut fall = |health: &mut Health, lasts: u64| {
            health.step(ms(now), Input::Tick, 1.0);
            health.step(ms(now), shown(1), 1.0);
            now += lasts;
            health.step(ms(now), shown(2), 1.0);
            health.step(ms(now), Input::Failed("gone".to_owned()), 1.0);
            let until = health.idle_until().unwrap();
            let delay = until.since(ms(now));
            now += delay.as_millis() as u64;
            delay
        };
        let delays: Vec<u128> = (0..6).map(|_| fall(&mut health, 50).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1_600, 2_000]);
        assert_eq!(fall(&mut health, 2_500).as_millis(), 100);
    }
}
