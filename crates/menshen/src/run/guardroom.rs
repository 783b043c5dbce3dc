//! The guard's answers, whether they come from a terminal on site or signed from afar.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use domain::{Name, PassageId};

use super::barriers::BarrierLink;
use super::lane::{Message, Pulse};

/// A lane as whoever answers for its vehicles reaches it.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) name: Name,
    pub(crate) messages: Sender<Message>,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) barrier: Arc<BarrierLink>,
    /// Whether the lane only watches: then nothing opens its boom.
    pub(crate) shadow: bool,
}

/// All lanes.
#[derive(Debug, Clone)]
pub(crate) struct Guardroom {
    pub(crate) doors: Vec<Door>,
}

impl Guardroom {
    /// The lane of this name.
    pub(crate) fn door(&self, lane: &Name) -> Option<&Door> {
        self.doors.iter().find(|door| door.name == *lane)
    }

    /// Gives a person's answer for the passage that waits: the one named, or the only one.
    ///
    /// # Errors
    /// In words for the person who answered.
    pub(crate) fn answer(
        &self,
        lane: Option<&Name>,
        passage: Option<PassageId>,
        admit: bool,
        by: String,
    ) -> Result<String, String> {
        let fits = |door: &Door| {
            let here = lane.is_none_or(|lane| *lane == door.name);
            let asking = door.pulse.asking();
            here && asking.is_some_and(|asking| passage.is_none_or(|p| p == asking))
        };
        let asking: Vec<_> = self.doors.iter().filter(|door| fits(door)).collect();
        match asking.as_slice() {
            [] => Err("no vehicle waits for an answer / 没有待确认的车辆".to_owned()),
            [door] => {
                let answer = Message::Answer {
                    passage: door.pulse.asking(),
                    admit,
                    by,
                };
                if door.messages.send(answer).is_err() {
                    return Err(format!("lane {} has ended", door.name));
                }
                let word = if admit {
                    "admitted / 已放行"
                } else {
                    "refused / 已拒绝"
                };
                Ok(format!("lane {}: {word}", door.name))
            }
            several => {
                let names: Vec<_> = several.iter().map(|door| door.name.as_str()).collect();
                Err(format!(
                    "several lanes ask: {}; name one with --lane",
                    names.join(", ")
                ))
            }
        }
    }
}
