//! Guards that can be taken away, to show that the simulated compound notices.
//!
//! `guard!(Name => condition)` is the condition, `guard!(Name)` is true, and
//! `guard!(Name else { .. })` is nothing. Only a build with the feature `mutations`, which no program
//! of the house asks for, can turn that round, for the thread that called `without`. The tests of
//! `sim` do that with every `Guard` in turn.

#[cfg(feature = "mutations")]
mod removal {
    use std::cell::Cell;

    /// What holds one of the invariants.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum Guard {
        /// One direction is released before the other is energised.
        Interlock,
        /// The motor rests between two directions.
        DeadTime,
        /// A presence input must have been clear for the clearance time.
        Clearance,
        /// A presence input must have been read lately.
        Fresh,
        /// A presence input must have reacted to a test in this cycle.
        SelfTest,
        /// A presence input must have been seen to change since the start.
        Proven,
        /// A presence input must not be faulty.
        Healthy,
        /// Presence while closing breaks the closing off.
        PresenceStops,
        /// After that the boom opens.
        PresenceReopens,
        /// Fire opens.
        FireOpens,
        /// Fire holds the boom open.
        FireHolds,
        /// STOP releases.
        StopReleases,
        /// Nothing restarts by itself after STOP.
        StopStays,
        /// The relay guard bounds a pulse.
        PulseBound,
        /// The relay guard releases when the daemon is silent.
        Silence,
        /// The relay guard releases when its pipe closes.
        PipeEnd,
        /// The motor's run is bounded.
        RunBound,
        /// Both limits at once are a fault.
        LimitsContradict,
        /// An old request moves nothing.
        Freshness,
        /// A cause opens once.
        CauseOnce,
        /// Three openings wait at most.
        QueueBound,
        /// A tailgater is reported.
        Tailgating,
        /// A movement that nobody ordered is a fault.
        Unbidden,
        /// A relay that does not release is a fault.
        NotReleased,
        /// A sensor that does not react to its test is a fault.
        TestFails,
        /// A stuck input is a fault.
        Stuck,
        /// A chattering input is a fault.
        Chatter,
        /// An input that is not read any more is a fault.
        Missing,
        /// A latched fault stops openings.
        FaultBlocks,
        /// A fault is cleared on site only.
        ClearedOnSite,
        /// A hold ends at its cap.
        HoldCap,
    }

    impl Guard {
        /// All of them.
        pub const ALL: [Self; 31] = [
            Self::Interlock,
            Self::DeadTime,
            Self::Clearance,
            Self::Fresh,
            Self::SelfTest,
            Self::Proven,
            Self::Healthy,
            Self::PresenceStops,
            Self::PresenceReopens,
            Self::FireOpens,
            Self::FireHolds,
            Self::StopReleases,
            Self::StopStays,
            Self::PulseBound,
            Self::Silence,
            Self::PipeEnd,
            Self::RunBound,
            Self::LimitsContradict,
            Self::Freshness,
            Self::CauseOnce,
            Self::QueueBound,
            Self::Tailgating,
            Self::Unbidden,
            Self::NotReleased,
            Self::TestFails,
            Self::Stuck,
            Self::Chatter,
            Self::Missing,
            Self::FaultBlocks,
            Self::ClearedOnSite,
            Self::HoldCap,
        ];
    }

    thread_local! {
        static REMOVED: Cell<Option<Guard>> = const { Cell::new(None) };
    }

    /// Whether this thread does without `guard`.
    pub fn removed(guard: Guard) -> bool {
        REMOVED.get() == Some(guard)
    }

    /// Runs `work` without `guard`; with `None`, with all of them.
    pub fn without<T>(guard: Option<Guard>, work: impl FnOnce() -> T) -> T {
        let before = REMOVED.replace(guard);
        let done = work();
        REMOVED.set(before);
        done
    }
}

#[cfg(feature = "mutations")]
pub use removal::{Guard, removed, without};

/// With a condition: the condition. With a block: what happens where the guard is taken away.
/// With neither: whether the guard stands.
#[cfg(feature = "mutations")]
macro_rules! guard {
    ($name:ident else $removed:block) => {
        if $crate::mutation::removed($crate::mutation::Guard::$name) $removed
    };
    ($name:ident => $holds:expr) => {
        ($crate::mutation::removed($crate::mutation::Guard::$name) || $holds)
    };
    ($name:ident) => {
        !$crate::mutation::removed($crate::mutation::Guard::$name)
    };
}

/// With a condition: the condition. With a block: nothing. With neither: the guard stands.
#[cfg(not(feature = "mutations"))]
macro_rules! guard {
    ($name:ident else $removed:block) => {};
    ($name:ident => $holds:expr) => {
        $crate::mutation::stands($holds)
    };
    ($name:ident) => {
        $crate::mutation::stands(true)
    };
}

/// A guard that nobody can take away.
#[cfg(not(feature = "mutations"))]
pub(crate) const fn stands(holds: bool) -> bool {
    holds
}

pub(crate) use guard;
