//! Admit, refuse or ask the guard: always with a reason and the evidence.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use serde::{Deserialize, Serialize};

use crate::pass::PassId;
use crate::passage::Direction;
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

            /// Whether it was given on top of the verdict before it, whose evidence it keeps: by a
            /// person, by their silence, by a pass that was held up, or because the vehicle did not
            /// move.
            pub const fn follows_another(self) -> bool {
                matches!(
                    self,
                    Self::PassShown
                        | Self::GuardAdmitted
                        | Self::GuardRefused
                        | Self::GuardSilent
                        | Self::StillWaiting
                )
            }

            /// Whether the vehicle may pass by a right of its own, which the picture showed; not
            /// because it leaves, or because a person let it.
            pub const fn is_of_right(self) -> bool {
                matches!(
                    self,
                    Self::Registered
                        | Self::MissedExit
                        | Self::Visitor
                        | Self::Pass
                        | Self::AlwaysPasses
                )
            }
        }
    };
}

reasons! {
    /// Registered, and clearly the best explanation of the picture.
    Registered = "registered", Admit, "已登记车辆";
    /// Registered; that it left the last time was not seen.
    MissedExit = "missed-exit", Admit, "已登记车辆，上次离开未记录";
    /// Booked as a visitor by a household.
    Visitor = "visitor", Admit, "住户预约访客";
    /// Its numbered pass is valid.
    Pass = "pass", Admit, "持有效通行证";
    /// It is not known, but a valid pass of a supplier was held up to the camera.
    PassShown = "pass-shown", Admit, "出示有效供应商通行证";
    /// A kind of vehicle that always passes here.
    AlwaysPasses = "always-passes", Admit, "特种车辆放行";
    /// Leaving: nobody is locked in.
    ExitOpen = "exit-open", Admit, "出口放行";
    /// Leaving although the household is under a restriction: let out and noted.
    RestrictedExit = "restricted-exit", Admit, "限制期住户外出，已记录";
    /// The guard let the vehicle pass.
    GuardAdmitted = "guard-admitted", Admit, "门卫放行";
    /// Not registered.
    NotRegistered = "not-registered", Refuse, "未登记";
    /// The registration's last day is past.
    Expired = "expired", Refuse, "登记已过期";
    /// The tenant's lease has ended.
    LeaseEnded = "lease-ended", Refuse, "租约已到期";
    /// Outside the hours of its schedule.
    OutsideHours = "outside-hours", Refuse, "不在准入时段";
    /// On the blocklist.
    Blocked = "blocked", Refuse, "黑名单车辆";
    /// Its numbered pass was revoked.
    PassRevoked = "pass-revoked", Refuse, "通行证已注销";
    /// The last day of its numbered pass is past.
    PassExpired = "pass-expired", Refuse, "通行证已过期";
    /// The first day of its numbered pass is still to come.
    PassNotYetValid = "pass-not-yet-valid", Refuse, "通行证未到生效日期";
    /// All entries of its numbered pass are used up.
    PassUsedUp = "pass-used-up", Refuse, "通行证次数已用完";
    /// The pass that was shown belongs to another plate.
    PassWrongPlate = "pass-wrong-plate", Refuse, "通行证与车牌不符";
    /// The pass that was shown carries no signature of a key that is enrolled here.
    PassForged = "pass-forged", Refuse, "通行证系伪造";
    /// The pass that was shown was altered, or read wrongly.
    PassAltered = "pass-altered", Refuse, "通行证被改动或未读清";
    /// The pass that was shown is not in the register.
    PassUnknown = "pass-unknown", Refuse, "登记库中无此通行证";
    /// The pass that was shown is an earlier edition; a newer one has taken its place.
    PassReplaced = "pass-replaced", Refuse, "旧版通行证，已补发新证";
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
    /// The pass that was shown is a blank: nobody wrote down yet whose it is.
    PassBlank = "pass-blank", AskGuard, "空白通行证，尚未登记使用人";
    /// The vehicle is booked as a visitor, but not for this time.
    VisitNotNow = "visit-not-now", AskGuard, "不在预约时间内";
    /// The household is under a restriction.
    HouseholdRestricted = "household-restricted", AskGuard, "住户处于限制期";
    /// The household's parking fee is not paid.
    FeeUnpaid = "fee-unpaid", AskGuard, "停车费未缴";
    /// The compound is closed for a time.
    Closed = "closed", AskGuard, "入口临时封闭";
    /// A vehicle with this plate is inside already; one of the two may be a forgery.
    AlreadyInside = "already-inside", AskGuard, "同号车辆已在场内，疑似套牌";
    /// The spaces that the vehicle shares are taken.
    SpacesFull = "spaces-full", AskGuard, "本户车位已满";
    /// The compound is full.
    CompoundFull = "compound-full", AskGuard, "小区车位已满";
    /// The number is of a kind that always passes, but the plate does not look like one.
    KindContradicts = "kind-contradicts", AskGuard, "特种号牌与外观不符";
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
    /// The numbered pass by which it enters, if that is its right; the entry counts for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<PassId>,
    /// What the rules were asked with; absent where the picture alone was judged, as in all
    /// verdicts before there were rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circumstances: Option<Box<Circumstances>>,
}

/// Everything else that a verdict depends on: with the registry as it stood and the reader's
/// alphabet it is reached again, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circumstances {
    /// Which way the lane leads.
    pub direction: Direction,
    /// Whether a verdict was due, however unclear.
    pub final_look: bool,
    /// By how much a hypothesis had to win, by the names of the margins, in their own units.
    pub margins: BTreeMap<String, i64>,
    /// The time at the site; none while the clock was not trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_time: Option<DateTime>,
    /// The same time without a zone; none while the clock was not trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// The earliest day that it could be, while the clock was not trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Date>,
    /// Vehicles inside in all.
    pub vehicles_inside: u32,
    /// Those inside of whom the rules asked, in the order of the plates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inside: Vec<Inside>,
    /// The passes of which the rules asked how often they were used, in the order of their
    /// numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passes: Vec<PassEntries>,
}

/// How many entries of a pass were used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassEntries {
    /// The pass.
    pub pass: PassId,
    /// Entries used.
    pub entries: u32,
}

/// A vehicle inside the compound, as far as the gate saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inside {
    /// Its plate.
    pub plate: PlateNumber,
    /// When it entered.
    pub since: Timestamp,
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

    #[test]
    fn the_table_in_the_book_is_this_table() {
        let book = include_str!("../../../docs/reasons.md");
        let rows: Vec<&str> = book.lines().filter(|l| l.starts_with("| `")).collect();
        assert_eq!(rows.len(), Reason::ALL.len());
        for (row, reason) in rows.iter().zip(Reason::ALL) {
            let decision = reason.decision();
            let expected = format!(
                "| `{}` | {} {} | {} | {} |",
                reason.code(),
                decision.chinese(),
                decision.english(),
                reason.chinese(),
                reason.english()
            );
            assert_eq!(*row, expected);
        }
    }
}
