//! What can befall the compound: faults, and people who press things.

use std::fmt;
use std::str::FromStr;

macro_rules! blows {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal;)+) => {
        /// One kind of blow.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Blow {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Blow {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its word on the command line and in reports.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }
        }
    };
}

blows! {
    /// A loop or beam flickers faster than anything drives.
    LoopChatters = "loop-chatters";
    /// A loop or beam stays active.
    LoopSticks = "loop-sticks";
    /// A loop or beam sees nothing any more.
    LoopDead = "loop-dead";
    /// One input is not read any more.
    InputMissing = "input-missing";
    /// No input is read for a moment.
    InputsSilent = "inputs-silent";
    /// A limit stays active.
    LimitSticks = "limit-sticks";
    /// A relay's contact stays closed, or its board takes no release.
    RelaySticks = "relay-sticks";
    /// The boom does not move.
    MotorJams = "motor-jams";
    /// Somebody lifts the boom by hand.
    BoomLifted = "boom-lifted";
    /// The fire alarm.
    Fire = "fire";
    /// STOP is pressed.
    Stop = "stop";
    /// The boom is held open.
    Hold = "hold";
    /// More openings are asked for than may wait.
    Flood = "flood";
    /// Old and used requests come again.
    Replay = "replay";
    /// The camera loses every other frame.
    CameraDrops = "camera-drops";
    /// The camera shows nothing.
    CameraDark = "camera-dark";
    /// The camera's pictures are misread.
    Misreads = "misreads";
    /// The register cannot be read.
    RegisterLost = "register-lost";
    /// The broker is away.
    BrokerAway = "broker-away";
    /// The store takes no writes.
    DiskFull = "disk-full";
    /// A sync of the store fails.
    SyncFails = "sync-fails";
    /// The disk budget is used up.
    BudgetUsedUp = "budget-used-up";
    /// The daemon is killed.
    KillDaemon = "kill-daemon";
    /// A crash loses what was not synced.
    WritesLost = "writes-lost";
    /// A crash tears a write.
    WritesTorn = "writes-torn";
    /// A relay guard is killed.
    KillGuard = "kill-guard";
    /// Daemon and relay guards are killed together.
    KillBoth = "kill-both";
    /// The daemon hangs.
    Hang = "hang";
    /// The daemon is ended in good order and started again.
    Restart = "restart";
    /// The power fails; detectors forget what stands on their loops.
    PowerCut = "power-cut";
    /// The wall clock jumps.
    ClockJumps = "clock-jumps";
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Which blows may fall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blows(Vec<Blow>);

/// A word that names no blow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no fault; use all, none, or some of: {list}", list = words())]
pub struct UnknownBlow(String);

fn words() -> String {
    let words: Vec<&str> = Blow::ALL.iter().map(|blow| blow.word()).collect();
    words.join(", ")
}

impl Blows {
    /// Every kind.
    pub fn all() -> Self {
        Self(Blow::ALL.to_vec())
    }

    /// No blow at all: only traffic.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// The kinds that may fall.
    pub fn kinds(&self) -> &[Blow] {
        &self.0
    }
}

impl FromStr for Blows {
    type Err = UnknownBlow;

    fn from_str(text: &str) -> Result<Self, UnknownBlow> {
        match text {
            "all" => return Ok(Self::all()),
            "none" => return Ok(Self::none()),
            _ => {}
        }
        let mut kinds = Vec::new();
        for word in text.split(',').map(str::trim) {
            let blow = Blow::ALL.iter().find(|blow| blow.word() == word);
            kinds.push(*blow.ok_or_else(|| UnknownBlow(word.to_owned()))?);
        }
        kinds.sort_unstable();
        kinds.dedup();
        Ok(Self(kinds))
    }
}

impl fmt::Display for Blows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            f.write_str("none")
        } else if self.0.len() == Blow::ALL.len() {
            f.write_str("all")
        } else {
            let words: Vec<&str> = self.0.iter().map(|blow| blow.word()).collect();
            f.write_str(&words.join(","))
        }
    }
}
