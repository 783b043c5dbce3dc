//! What a simulation did: how often each blow fell, and how often each guard intervened.

use std::collections::BTreeMap;

use serde::Serialize;

use super::blow::{Blow, Blows};

macro_rules! guards {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $word:literal;)+) => {
        /// A rule of the house that can intervene, by the invariant that it holds.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Guard {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Guard {
            /// Every guard.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its word in reports.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }

            /// The number of its invariant.
            pub const fn invariant(self) -> u8 {
                match self { $(Self::$name => $number,)+ }
            }
        }
    };
}

guards! {
    /// One direction was released before the other was energised.
    Interlock = 1, "interlock";
    /// A direction waited for the dead time.
    DeadTime = 2, "dead-time";
    /// Closing waited for a clear boom.
    Occupied = 3, "occupied";
    /// Closing waited for the clearance time.
    Clearance = 3, "clearance";
    /// Closing waited for inputs that are read.
    Fresh = 3, "fresh";
    /// Closing waited for a healthy input.
    Healthy = 3, "healthy";
    /// Closing waited for an input that has been seen to change.
    Proven = 3, "proven";
    /// Closing waited for a test.
    SelfTest = 3, "self-test";
    /// Closing was broken off, and the boom opened.
    PresenceReopens = 4, "presence-reopens";
    /// Fire opened.
    FireOpens = 5, "fire-opens";
    /// Fire held the boom.
    FireHolds = 5, "fire-holds";
    /// STOP released a relay.
    StopReleases = 5, "stop-releases";
    /// Nothing moved when STOP ended.
    StopStays = 5, "stop-stays";
    /// A pulse ended by the relay guard's own clock.
    PulseBound = 6, "pulse-bound";
    /// The motor ran into its bound.
    RunBound = 6, "run-bound";
    /// Both limits were active at once.
    LimitsContradict = 6, "limits-contradict";
    /// The relay guard released because the daemon was silent.
    Silence = 7, "silence";
    /// The relay guard released because its pipe closed.
    PipeEnd = 7, "pipe-end";
    /// A successor's first write released what a dead relay guard had left.
    FirstRelease = 7, "first-release";
    /// An old request was refused.
    Freshness = 8, "freshness";
    /// A used cause was refused.
    CauseOnce = 9, "cause-once";
    /// A request found the line full.
    QueueBound = 9, "queue-bound";
    /// A vehicle that could not be judged was not admitted.
    NotAdmitted = 10, "not-admitted";
    /// The guard or the fire alarm opened while camera, broker or disk failed.
    WorksWithout = 10, "works-without";
    /// A tailgater was reported.
    Tailgating = 11, "tailgating";
    /// A welded relay was latched.
    NotReleased = 12, "not-released";
    /// A boom that moved by itself was latched.
    Unbidden = 12, "unbidden";
    /// A dead sensor was latched.
    TestFails = 12, "test-fails";
    /// A stuck input was latched.
    Stuck = 12, "stuck";
    /// A chattering input was latched.
    Chatter = 12, "chatter";
    /// A missing input was latched.
    Missing = 12, "missing";
    /// A latched fault refused an opening.
    FaultBlocks = 12, "fault-blocks";
    /// A fault was cleared on site.
    ClearedOnSite = 12, "cleared-on-site";
    /// A hold reached its cap.
    HoldCap = 13, "hold-cap";
    /// Events waited in memory for the disk.
    Backlog = 13, "backlog";
    /// Entries were sent again after the broker was away.
    SentAgain = 13, "sent-again";
    /// The committee recognised a doubled entry.
    Doubled = 14, "doubled";
    /// Entries that made room were declared.
    GapDeclared = 14, "gap-declared";
    /// A start cut a torn or lost end off the journal.
    EndCutOff = 14, "end-cut-off";
    /// A passage that a crash interrupted was closed.
    Interrupted = 14, "interrupted";
}

/// What vehicles do besides driving through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Habit {
    /// Drives up, waits, drives through.
    Ordinary,
    /// Stops between the camera's view and the loop.
    StopsBetween,
    /// Follows the one before through the open boom.
    Tailgates,
    /// Turns back although it may pass.
    Reverses,
    /// Stands under the boom for a while.
    Stalls,
}

impl Habit {
    /// Every habit.
    pub const ALL: [Self; 5] = [
        Self::Ordinary,
        Self::StopsBetween,
        Self::Tailgates,
        Self::Reverses,
        Self::Stalls,
    ];

    /// Its word in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ordinary => "ordinary",
            Self::StopsBetween => "stops-between",
            Self::Tailgates => "tailgates",
            Self::Reverses => "reverses",
            Self::Stalls => "stalls",
        }
    }
}

/// Counts of one world, or of many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Passages in the journal as it arrived.
    pub passages: u64,
    /// Vehicles that came.
    pub vehicles: u64,
    /// Steps of the simulation, each with every invariant checked.
    pub steps: u64,
    /// Simulated milliseconds.
    pub simulated_ms: u64,
    /// Relay edges.
    pub edges: u64,
    /// Journal entries that arrived.
    pub entries: u64,
    blows: BTreeMap<&'static str, u64>,
    guards: BTreeMap<&'static str, u64>,
    habits: BTreeMap<&'static str, u64>,
}

impl Report {
    /// A blow fell.
    pub fn blow(&mut self, blow: Blow) {
        *self.blows.entry(blow.word()).or_default() += 1;
    }

    /// A guard intervened.
    pub fn guard(&mut self, guard: Guard) {
        *self.guards.entry(guard.word()).or_default() += 1;
    }

    /// A vehicle of this habit came.
    pub fn habit(&mut self, habit: Habit) {
        *self.habits.entry(habit.word()).or_default() += 1;
    }

    /// How often a blow fell.
    pub fn fell(&self, blow: Blow) -> u64 {
        self.blows.get(blow.word()).copied().unwrap_or(0)
    }

    /// How often a guard intervened.
    pub fn intervened(&self, guard: Guard) -> u64 {
        self.guards.get(guard.word()).copied().unwrap_or(0)
    }

    /// How many vehicles of a habit came.
    pub fn came(&self, habit: Habit) -> u64 {
        self.habits.get(habit.word()).copied().unwrap_or(0)
    }

    /// Adds the counts of another world.
    pub fn add(&mut self, other: &Self) {
        self.passages += other.passages;
        self.vehicles += other.vehicles;
        self.steps += other.steps;
        self.simulated_ms += other.simulated_ms;
        self.edges += other.edges;
        self.entries += other.entries;
        for (mine, theirs) in [
            (&mut self.blows, &other.blows),
            (&mut self.guards, &other.guards),
            (&mut self.habits, &other.habits),
        ] {
            for (word, count) in theirs {
                *mine.entry(word).or_default() += count;
            }
        }
    }

    /// The blows among `asked` that never fell and, where all were asked for, the guards that
    /// never intervened.
    pub fn unexercised(&self, asked: &Blows) -> Vec<&'static str> {
        let mut never: Vec<&'static str> = Vec::new();
        for &blow in asked.kinds() {
            if self.fell(blow) == 0 {
                never.push(blow.word());
            }
        }
        if asked.kinds().len() == Blow::ALL.len() {
            let idle = |guard: &&Guard| self.intervened(**guard) == 0;
            never.extend(Guard::ALL.iter().filter(idle).map(|guard| guard.word()));
        }
        never
    }
}

impl Serialize for Report {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let count_of = |word: &'static str, counts: &BTreeMap<&'static str, u64>| {
            (word, counts.get(word).copied().unwrap_or(0))
        };
        let faults: BTreeMap<_, _> = Blow::ALL
            .iter()
            .map(|blow| count_of(blow.word(), &self.blows))
            .collect();
        let guards: BTreeMap<_, _> = Guard::ALL
            .iter()
            .map(|guard| count_of(guard.word(), &self.guards))
            .collect();
        let habits: BTreeMap<_, _> = Habit::ALL
            .iter()
            .map(|habit| count_of(habit.word(), &self.habits))
            .collect();
        let mut out = serializer.serialize_struct("Report", 9)?;
        out.serialize_field("passages", &self.passages)?;
        out.serialize_field("vehicles", &self.vehicles)?;
        out.serialize_field("steps", &self.steps)?;
        out.serialize_field("simulated_ms", &self.simulated_ms)?;
        out.serialize_field("edges", &self.edges)?;
        out.serialize_field("entries", &self.entries)?;
        out.serialize_field("faults", &faults)?;
        out.serialize_field("guards", &guards)?;
        out.serialize_field("vehicles_by_habit", &habits)?;
        out.end()
    }
}
