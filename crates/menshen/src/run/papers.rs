//! Numbered passes that are held up to a lane's camera.
//!
//! ```text
//! frame ─► code reader (a thread) ─► texts ─► genuine? ─► journal: what it is worth
//!                                               └─► counts for a few seconds ─► the vehicle in doubt
//! ```
//!
//! Looks only while the register has passes: a compound without them pays nothing.

use std::time::Duration;

use access::pass::{HeldUp, worth};
use access::passage::{Lane, Now};
use domain::repeats::Repeats;
use domain::{Event, Name, PassId, PassageId, Verdict};
use tracing::{info, warn};
use vision::Frame;
use vision::codes::CodeReader;

use super::records::Records;

/// How often one pass that is worth the same is written down again.
const TOLD_EVERY: Duration = Duration::from_mins(1);

/// The papers of one lane.
pub(crate) struct Papers {
    reader: CodeReader,
    held_up: HeldUp,
    told: Repeats<(Option<PassId>, &'static str)>,
}

impl Papers {
    /// Starts looking; `None`, with a word in the log, if the system gives no thread for it.
    pub(crate) fn start(lane: &Name) -> Option<Self> {
        match CodeReader::start() {
            Ok(reader) => Some(Self {
                reader,
                held_up: HeldUp::default(),
                told: Repeats::new(TOLD_EVERY),
            }),
            Err(e) => {
                warn!(%lane, error = %e, "this lane reads no passes: no thread for it");
                None
            }
        }
    }

    /// Shows it a frame.
    pub(crate) fn offer(&mut self, frame: &Frame, records: &Records) {
        let view = records.registry();
        if view.is_some_and(|view| view.book().passes().next().is_some()) {
            self.reader.offer(frame);
        }
    }

    /// Takes note of what was held up since.
    pub(crate) fn take(&mut self, lane: &Name, now: Now, records: &Records) {
        for text in self.reader.take() {
            // Shops and parcels have codes too.
            if !text.starts_with(access::pass::token::PREFIX) {
                continue;
            }
            let seen = self.held_up.see(now.monotonic, &text, &records.pass_keys());
            let (pass, reason) = match seen {
                Ok(token) => {
                    let view = records.registry();
                    let used = |id| records.inside().entries_of(id);
                    let shown = worth(token, view.as_ref(), records.time(), None, &used);
                    (shown.token.map(|token| token.pass), shown.reason)
                }
                Err(why) => (None, why.reason()),
            };
            if self
                .told
                .note(now.monotonic, (pass, reason.code()))
                .is_some()
            {
                info!(
                    %lane,
                    pass = pass.map(|pass| pass.number.get()),
                    "a pass was shown: {} / {}",
                    reason.english(),
                    reason.chinese(),
                );
                let lane = lane.clone();
                records.record(Event::PassShown { lane, pass, reason });
            }
        }
    }

    /// Whether a paper that counts now changes the verdict on the vehicle in doubt.
    pub(crate) fn judge(
        &mut self,
        lane: &Lane,
        now: Now,
        records: &Records,
    ) -> Option<(PassageId, Verdict)> {
        self.held_up.counting(now.monotonic).next()?;
        let (id, so_far) = lane.in_doubt(now)?;
        let view = records.registry()?;
        let (clock, shadow) = (records.time(), lane.settings().shadow);
        let (token, verdict) = self.held_up.counting(now.monotonic).find_map(|token| {
            let judged = records.inside().judge_shown(
                (id, so_far),
                token,
                &view,
                clock,
                shadow,
                now.monotonic,
            );
            Some((token.pass, judged?))
        })?;
        self.held_up.use_up(token);
        Some((id, verdict))
    }
}
