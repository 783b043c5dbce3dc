//! Admit, refuse or ask the guard: always with a reason and the evidence.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::plate::{PlateKind, PlateNumber};
use crate::reading::Score;

/// What the gate does about a vehicle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// Open.
    Admit,
    /// Stay closed.
    Refuse,
    /// Stay closed until a person answers.
    AskGuard,
}

impl Decision {
    /// The word in Chinese.
    pub const fn chinese(self) -> &'static str {
        match self {
            Self::Admit => "放行",
            Self::Refuse => "不放行",
            Self::AskGuard => "请门卫确认",
        }
    }

    /// The word in English.
    pub const fn english(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Refuse => "refuse",
            Self::AskGuard => "ask the guard",
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.english())
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $decision:ident, $chinese:literal;)+) => {
        /// Why a verdict was given. The code in events and pages is the name in kebab case.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// Every reason, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The code in events.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// The decision that goes with this reason.
            pub const fn decision(self) -> Decision {
                match self { $(Self::$name => Decision::$decision,)+ }
            }

            /// The reason in plain Chinese.
            pub const fn chinese(self) -> &'static str {
                match self { $(Self::$name => $chinese,)+ }
            }

            /// The reason in plain English.
            pub fn english(self) -> &'static str {
                let text: &'static str = match self { $(Self::$name => concat!($($doc),+),)+ };
                text.trim().trim_end_matches('.')
            }
        }
    };
}

reasons! {
    /// Registered, and clearly the best explanation of the picture.
    Registered = "registered", Admit, "已登记车辆";
    /// Leaving: nobody is locked in.
    ExitOpen = "exit-open", Admit, "出口放行";
    /// The guard let the vehicle pass.
    GuardAdmitted = "guard-admitted", Admit, "门卫放行";
    /// Not registered.
    NotRegistered = "not-registered", Refuse, "未登记";
    /// The registration's last day is past.
    Expired = "expired", Refuse, "登记已过期";
    /// The guard said no.
    GuardRefused = "guard-refused", Refuse, "门卫不放行";
    /// Nobody answered in time.
    GuardSilent = "guard-silent", Refuse, "门卫未答复";
    /// A registered plate and another number explain the picture about equally well.
    Ambiguous = "ambiguous", AskGuard, "车牌与另一号码难以区分";
    /// The picture is too poor to tell the plate.
    UnclearPicture = "unclear-picture", AskGuard, "车牌看不清";
    /// A vehicle is there, but no plate was found.
    Unread = "unread", AskGuard, "未见车牌";
    /// The registration depends on the date, and the clock is not trusted yet.
    ClockUntrusted = "clock-untrusted", AskGuard, "时钟未校准，无法核对有效期";
    /// The registry could not be read.
    RegistryUnavailable = "registry-unavailable", AskGuard, "登记库无法读取";
    /// The vehicle was admitted before, and is still waiting.
    StillWaiting = "still-waiting", AskGuard, "已放行但车辆仍在等候";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

/// A plate number and how well it explains the sighting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scored {
    /// The number.
    pub plate: PlateNumber,
    /// Its score, in 1/1024 nat.
    pub score: Score,
}

/// What the verdict rests on; with the registry as it stood, enough to reach it again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// The registered plate that explains the sighting best.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered: Option<Scored>,
    /// The second best registered plate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner_up: Option<Scored>,
    /// The best valid plate that is not registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stranger: Option<Scored>,
    /// The plate's kind by its look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<PlateKind>,
    /// Readings fused.
    pub readings: u32,
    /// The fused matrix as hexadecimal of its stored bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub matrix: String,
    /// Version of the registry it was decided against.
    pub registry_version: u64,
}

/// The gate's answer to one sighting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What to do.
    pub decision: Decision,
    /// Why.
    pub reason: Reason,
    /// The plate the verdict is about: the registered one if it won, else the best stranger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plate: Option<PlateNumber>,
    /// What it rests on.
    pub evidence: Evidence,
}

impl Verdict {
    /// A verdict for `reason`, with the decision that goes with it.
    pub fn new(reason: Reason, plate: Option<PlateNumber>, evidence: Evidence) -> Self {
        Self {
            decision: reason.decision(),
            reason,
            plate,
            evidence,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn codes_are_what_serde_writes() {
        for &reason in Reason::ALL {
            assert_eq!(
                serde_json::to_string(&reason).unwrap(),
                format!("\"{}\"", reason.code())
            );
            assert!(!reason.english().is_empty() && !reason.chinese().is_empty());
        }
    }
}
