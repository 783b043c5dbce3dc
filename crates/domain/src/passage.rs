//! One vehicle's visit to one lane.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::names::Name;
use crate::pass::PassId;
use crate::plate::{PlateKind, PlateNumber};
use crate::verdict::{Decision, Reason};

/// A passage's identity, a UUIDv7; also the cause id of the opening it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PassageId(pub Uuid);

impl fmt::Display for PassageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for PassageId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

/// Which way a lane leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Into the compound.
    #[default]
    Entry,
    /// Out of the compound.
    Exit,
}

/// How a passage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The boom was opened for it and the vehicle went away.
    Passed,
    /// The vehicle left without the boom having been opened for it.
    TurnedAway,
    /// The vehicle stayed long after its verdict (a parked car in view); it was closed as it
    /// stood.
    Stayed,
    /// The program stopped in the middle of it.
    Interrupted,
}

impl Outcome {
    /// The outcome in plain English.
    pub const fn english(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::TurnedAway => "turned away",
            Self::Stayed => "stayed",
            Self::Interrupted => "interrupted",
        }
    }

    /// The outcome in plain Chinese.
    pub const fn chinese(self) -> &'static str {
        match self {
            Self::Passed => "已通行",
            Self::TurnedAway => "已离开",
            Self::Stayed => "久停未走",
            Self::Interrupted => "中断",
        }
    }
}

/// What is written down when a passage ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassageRecord {
    /// Its identity, the same as its verdict's.
    pub passage: PassageId,
    /// The lane.
    pub lane: Name,
    /// Which way the lane leads.
    pub direction: Direction,
    /// When the lane first saw or felt the vehicle.
    pub began: Timestamp,
    /// When it had left.
    pub ended: Timestamp,
    /// The last decision about it; none if it left before there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The plate the verdict was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plate: Option<PlateNumber>,
    /// The numbered pass by whose right it was admitted; an entry of it is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<PassId>,
    /// The plate's kind by its look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<PlateKind>,
    /// How it ended.
    pub outcome: Outcome,
    /// Readings that were fused.
    pub readings: u32,
    /// Whether the lane only watched: a shadow lane never opens.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
    /// Files of the picture archive: the whole frame, the plate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pictures: Vec<String>,
}
