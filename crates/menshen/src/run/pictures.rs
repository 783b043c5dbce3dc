//! Pictures of passages: encoded, kept and sent on a thread of their own, so that neither the
//! lane nor the journal waits for a JPEG.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use access::pictures::{self as archive, Shows};
use bridge::BridgeHandle;
use domain::{Name, PassageId, Quad};
use jiff::civil::Date;
use tracing::{debug, warn};
use vision::Frame;
use vision::picture::{Region, encode_jpeg};

/// A frame to keep.
pub(crate) struct Shot {
    /// The passage it belongs to.
    pub(crate) passage: PassageId,
    /// The date at the site.
    pub(crate) day: Date,
    /// Its lane.
    pub(crate) lane: Name,
    /// The frame.
    pub(crate) frame: Frame,
    /// Where the plate is, if one was found.
    pub(crate) quad: Option<Quad>,
}

impl Shot {
    /// What its pictures show, and where the archive keeps them.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.shows()
            .map(|shows| archive::path_of(self.day, self.passage, shows))
            .collect()
    }

    fn shows(&self) -> impl Iterator<Item = Shows> {
        let plate = self.quad.is_some().then_some(Shows::Plate);
        std::iter::once(Shows::Frame).chain(plate)
    }
}

/// Takes shots from lanes; more than a few that wait are dropped.
#[derive(Clone)]
pub(crate) struct Pictures {
    sender: SyncSender<Shot>,
}

/// Shots that wait at most: each holds a frame in memory.
const WAITING: usize = 4;
/// Room around a plate in its own picture, in plate sizes.
const MARGIN: f32 = 0.25;

impl Pictures {
    /// Starts the thread. It ends when the last handle is gone.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn start(
        archive: Arc<Mutex<archive::Pictures>>,
        bridge: Option<BridgeHandle>,
    ) -> std::io::Result<Self> {
        let (sender, shots) = sync_channel(WAITING);
        std::thread::Builder::new()
            .name("pictures".into())
            .spawn(move || work(&archive, bridge.as_ref(), &shots))?;
        Ok(Self { sender })
    }

    /// Hands a shot over without waiting.
    pub(crate) fn keep(&self, shot: Shot) {
        if let Err(TrySendError::Full(shot)) = self.sender.try_send(shot) {
            warn!(passage = %shot.passage, "a picture was dropped: the disk is too slow");
        }
    }
}

fn work(archive: &Mutex<archive::Pictures>, bridge: Option<&BridgeHandle>, shots: &Receiver<Shot>) {
    for shot in shots {
        for shows in shot.shows() {
            let region = match (shows, &shot.quad) {
                (Shows::Plate, Some(quad)) => Region::around(&shot.frame, quad, MARGIN),
                _ => Region::whole(&shot.frame),
            };
            let jpeg = match encode_jpeg(&shot.frame, region, 80) {
                Ok(jpeg) => jpeg,
                Err(e) => {
                    warn!(passage = %shot.passage, error = %e, "a picture was not encoded");
                    continue;
                }
            };
            let kept = archive.lock().unwrap_or_else(PoisonError::into_inner).keep(
                shot.day,
                shot.passage,
                shows,
                &jpeg,
            );
            if let Err(e) = kept {
                warn!(passage = %shot.passage, error = %e, "a picture was not kept");
            }
            if shows == Shows::Frame
                && let Some(bridge) = bridge
                && !bridge.publish_picture(&shot.lane, jpeg)
            {
                debug!(passage = %shot.passage, "a picture was not sent");
            }
        }
    }
}
