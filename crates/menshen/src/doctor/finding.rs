//! What came of one item, in words for the person and for the record.

use domain::Words;
use serde::Serialize;

/// How an item went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It works.
    Good,
    /// It does not.
    Wrong,
    /// The person left it out.
    Skipped,
    /// The session ended before it.
    NotReached,
}

impl Outcome {
    /// The word for it.
    pub(crate) fn words(self) -> Words {
        match self {
            Self::Good => Words::new("正常", "good"),
            Self::Wrong => Words::new("有问题", "wrong"),
            Self::Skipped => Words::new("跳过", "skipped"),
            Self::NotReached => Words::new("未做", "not reached"),
        }
    }
}

/// What is written down about one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// How it went.
    pub(crate) outcome: Outcome,
    /// What was seen.
    pub(crate) seen: Words,
    /// What to do about it, where something is wrong.
    pub(crate) cure: Option<Words>,
}

impl Finding {
    /// It works.
    pub(crate) fn good(seen: Words) -> Self {
        Self {
            outcome: Outcome::Good,
            seen,
            cure: None,
        }
    }

    /// It does not work.
    pub(crate) fn wrong(seen: Words, cure: Words) -> Self {
        Self {
            outcome: Outcome::Wrong,
            seen,
            cure: Some(cure),
        }
    }

    /// The person left it out.
    pub(crate) fn skipped() -> Self {
        Self {
            outcome: Outcome::Skipped,
            seen: Words::new("安装人员跳过，没有试", "left out by the person, not tried"),
            cure: None,
        }
    }

    /// The session ended before it.
    pub(crate) fn not_reached() -> Self {
        Self {
            outcome: Outcome::NotReached,
            seen: Words::new("没有做到这一项", "the session ended before it"),
            cure: None,
        }
    }
}
