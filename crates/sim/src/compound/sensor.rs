//! An input contact of the simulated site, as it is and as its faults make it look.

use std::time::Duration;

use gate::line::{DebounceRule, Line};

/// How long a change must last before it counts, in milliseconds.
pub(super) const DEBOUNCE: u64 = 30;
/// How long a debouncer wants a chattering input quiet, in milliseconds.
const QUIET: u64 = 10_000;

/// What is wrong with a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ailment {
    /// Changes three times between two looks.
    Chatters,
    /// Shows this whatever happens.
    Stuck(bool),
    /// Is not read.
    Missing,
}

/// One contact.
#[derive(Debug)]
pub(super) struct Sensor {
    pub(super) line: Line,
    pub(super) rule: DebounceRule,
    pub(super) ailment: Option<Ailment>,
    /// A detector that was powered up with a vehicle on its loop: it sees nothing until the
    /// vehicle has left.
    pub(super) forgot: bool,
    /// What it shows: active or not.
    pub(super) active: bool,
    pub(super) since: u64,
    /// When it was last read.
    pub(super) read: u64,
    /// Since when it has been read without a break.
    pub(super) read_since: u64,
    /// Changes in the second that began at `window`, and in the one before.
    changes: u32,
    pub(super) changes_before: u32,
    window: u64,
    /// When the chatter began that has not been quiet for as long as a debouncer wants since.
    pub(super) chatter_began: u64,
    chatters: bool,
    /// Since when a debouncer has seen it without a change.
    quiet_since: u64,
    /// When it was last active for long enough to be believed.
    pub(super) believed_active: u64,
}

impl Sensor {
    pub(super) fn new(line: Line, stuck_after: Option<u64>, missing_after: Option<u64>) -> Self {
        let normally_closed = matches!(line, Line::Stop | Line::Fire | Line::LightBeam);
        Self {
            line,
            rule: DebounceRule {
                normally_closed,
                debounce: Duration::from_millis(DEBOUNCE),
                stuck_after: stuck_after.map(Duration::from_millis),
                missing_after: missing_after.map(Duration::from_millis),
            },
            ailment: None,
            forgot: false,
            active: false,
            since: 0,
            read: 0,
            read_since: 0,
            changes: 0,
            changes_before: 0,
            window: 0,
            chatter_began: 0,
            chatters: false,
            quiet_since: 0,
            believed_active: 0,
        }
    }

    pub(super) fn is_presence(&self) -> bool {
        matches!(self.line, Line::SafetyLoop | Line::LightBeam)
    }

    /// Takes what is true of the world; `port_read` says that the port is read at all.
    pub(super) fn follow(&mut self, now: u64, truth: bool, port_read: bool) {
        self.forgot &= truth;
        let shown = match self.ailment {
            Some(Ailment::Stuck(active)) => active,
            Some(Ailment::Chatters) => !self.active,
            Some(Ailment::Missing) | None => truth && !self.forgot,
        };
        if now >= self.window + 1000 {
            self.changes_before = if now < self.window + 2000 {
                self.changes
            } else {
                0
            };
            self.changes = 0;
            self.window = now;
        }
        if shown != self.active {
            self.active = shown;
            self.since = now;
            let flickers = self.ailment == Some(Ailment::Chatters);
            self.changes += if flickers { 3 } else { 1 };
            self.chatters &= now <= self.quiet_since + QUIET;
            if flickers && !self.chatters {
                self.chatters = true;
                self.chatter_began = now;
            }
            self.quiet_since = now;
        }
        if self.active && now - self.since >= 80 {
            self.believed_active = now;
        }
        if port_read && self.ailment != Some(Ailment::Missing) {
            if now > self.read + 100 {
                self.read_since = now;
                self.quiet_since = now;
            }
            self.read = now;
        }
    }

    /// The daemon's debouncer knows nothing of it any more but its faults.
    pub(super) fn was_forgotten(&mut self, now: u64) {
        self.quiet_since = now;
    }

    /// The contact's state, as a port reads it.
    pub(super) fn closed(&self) -> bool {
        self.active != self.rule.normally_closed
    }
}
