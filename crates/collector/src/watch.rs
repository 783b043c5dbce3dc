//! Which gate has fallen silent, which hole stays open, who speaks of entries that do not come.
//!
//! Whoever can drop messages on the broker can keep anything from coming here. That cannot be
//! prevented; it is noticed: a gate says every half minute, signed, how far its journal goes.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::command::DeviceName;
use domain::time::Monotonic;

use crate::standing::Standing;
use crate::store::{Report, ReportKind};

/// A gate of which nothing new was heard for this long is silent: six heads.
pub const SILENT_AFTER: Duration = Duration::from_mins(3);

/// A hole that stays open for this long is reported; the gate sends missing entries again
/// within seconds.
pub const HOLE_AFTER: Duration = Duration::from_mins(2);

/// Entries that a gate spoke of and that have not come after this long are reported.
pub const BEHIND_AFTER: Duration = Duration::from_mins(2);

#[derive(Debug, Clone)]
struct Seen {
    /// When something new was last heard.
    at: Monotonic,
    silent: bool,
    /// The first hole, since when, and whether it was reported.
    hole: Option<(u64, Monotonic, bool)>,
    /// The last number stored while the gate spoke of more, since when, and whether reported.
    behind: Option<(u64, Monotonic, bool)>,
}

/// Watches over all gates.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    seen: BTreeMap<DeviceName, Seen>,
}

impl Watch {
    /// Begins to watch gates, as if something had been heard of each now.
    pub fn new<'a>(devices: impl Iterator<Item = &'a DeviceName>, now: Monotonic) -> Self {
        let seen = devices
            .map(|device| {
                let seen = Seen {
                    at: now,
                    silent: false,
                    hole: None,
                    behind: None,
                };
                (device.clone(), seen)
            })
            .collect();
        Self { seen }
    }

    /// Something new was heard of a gate: a new entry or a later head, not a repetition.
    pub fn heard(&mut self, device: &DeviceName, now: Monotonic) -> Option<Report> {
        let seen = self.seen.get_mut(device)?;
        seen.at = now;
        std::mem::take(&mut seen.silent).then(|| Report {
            device: Some(device.clone()),
            kind: ReportKind::Back,
            message: "the gate is heard of again / 设备恢复上报".to_owned(),
        })
    }

    /// What is there of a gate's journal now.
    pub fn stands(
        &mut self,
        device: &DeviceName,
        standing: &Standing,
        now: Monotonic,
    ) -> Option<Report> {
        let seen = self.seen.get_mut(device)?;
        let first = standing.holes().first().map(|hole| hole.0);
        let before = seen.hole;
        seen.hole = first.map(|from| match before {
            Some(hole) if hole.0 == from => hole,
            _ => (from, now, false),
        });
        let behind = standing.head().0 > standing.last();
        let last = standing.last();
        let since = match seen.behind {
            Some(behind) if behind.0 == last => behind,
            _ => (last, now, false),
        };
        seen.behind = behind.then_some(since);
        let closed = seen.hole.is_none() && before.is_some_and(|(_, _, told)| told);
        closed.then(|| Report {
            device: Some(device.clone()),
            kind: ReportKind::HoleClosed,
            message: format!(
                "everything up to {} is there or declared lost",
                standing.end().seq
            ),
        })
    }

    /// What is to be reported as time has gone by.
    pub fn tick(&mut self, now: Monotonic) -> Vec<Report> {
        let mut reports = Vec::new();
        for (device, seen) in &mut self.seen {
            let mut report = |kind, message| {
                reports.push(Report {
                    device: Some(device.clone()),
                    kind,
                    message,
                });
            };
            if !seen.silent && now - seen.at >= SILENT_AFTER {
                seen.silent = true;
                report(
                    ReportKind::Silent,
                    format!(
                        "nothing new was heard of the gate for {} s: it is off, its network is down, or somebody holds its messages back / 设备失联",
                        (now - seen.at).as_secs()
                    ),
                );
            }
            if let Some((from, since, told)) = &mut seen.hole
                && !*told
                && now - *since >= HOLE_AFTER
            {
                *told = true;
                report(
                    ReportKind::Hole,
                    format!(
                        "entries from {from} on are missing and the gate has not declared them lost; it sends them again as long as it has them. If they are gone for good (this database is older than what it acknowledged), look at the gate's own journal, then give them up with --concede / 记录缺失"
                    ),
                );
            }
            if let Some((last, since, told)) = &mut seen.behind
                && !*told
                && now - *since >= BEHIND_AFTER
            {
                *told = true;
                report(
                    ReportKind::Behind,
                    format!(
                        "the gate says that its journal goes beyond {last}, and nothing comes: somebody or something holds its entries back / 记录未到"
                    ),
                );
            }
        }
        reports
    }
}
