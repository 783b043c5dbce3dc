//! The seam between a camera's supervisor and the ways to get pictures.
//!
//! A [`Source`] opens sessions. A session works on threads of its own and leaves what it gets in
//! an [`Inbox`]; dropping the session ends it. Each attempt has a fresh inbox, so that nothing
//! of a stream that was given up can be taken for the next one's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use domain::Monotonic;
use jiff::Timestamp;

use super::Clock;

/// One way to get pictures.
pub(super) trait Source: Send {
    /// Begins a stream whose pictures arrive in `inbox`. Returns soon: waiting for the camera
    /// is the session's business.
    fn open(&mut self, inbox: &Inbox) -> Result<Box<dyn Session>, String>;
}

/// A stream that ends when this is dropped.
pub(super) trait Session: Send {}

/// The pixels of one picture, decoded or not.
pub(super) enum Pixels {
    /// Three bytes a pixel, row by row.
    Rgb {
        rgb: Vec<u8>,
        width: u32,
        height: u32,
    },
    /// A picture file: JPEG, PNG ...; `name` says where it is from if that is not plain.
    Encoded {
        bytes: Vec<u8>,
        name: Option<String>,
    },
}

/// One picture with the moment its last byte was read.
pub(super) struct Arrival {
    pub(super) pixels: Pixels,
    pub(super) at: Monotonic,
    pub(super) wall: Timestamp,
}

/// What the supervisor finds in the inbox.
pub(super) enum Post {
    /// Nothing came in time.
    Nothing,
    /// The latest picture.
    Picture(Arrival),
    /// Something that is no picture; the stream goes on.
    Refused(String),
    /// The stream broke off, and why.
    Failed(String),
    /// There is no more to come.
    Ended,
}

/// How a session's work ends when nothing went wrong.
pub(super) enum Over {
    /// All there is has been delivered.
    Ended,
    /// The session was dropped.
    Stopped,
}

#[derive(Default)]
struct Held {
    picture: Option<Arrival>,
    refused: Option<String>,
    end: Option<Result<(), String>>,
}

struct Shared {
    held: Mutex<Held>,
    changed: Condvar,
    clock: Arc<dyn Clock>,
}

/// Where a session leaves what it gets: the latest picture, the latest refusal, the end.
#[derive(Clone)]
pub(super) struct Inbox(Arc<Shared>);

impl Inbox {
    /// An empty inbox whose pictures are stamped by `clock`.
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Shared {
            held: Mutex::default(),
            changed: Condvar::new(),
            clock,
        }))
    }

    fn change(&self, change: impl FnOnce(&mut Held)) {
        change(&mut self.lock());
        self.0.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a picture whose last byte has just been read.
    pub(super) fn picture(&self, pixels: Pixels) {
        let (at, wall) = (self.0.clock.now(), self.0.clock.wall());
        // Freeing the picture that this one replaces must not happen under the lock.
        let mut old = Some(Arrival { pixels, at, wall });
        self.change(|held| std::mem::swap(&mut held.picture, &mut old));
    }

    /// Leaves word of something that is no picture.
    pub(super) fn refused(&self, reason: String) {
        self.change(|held| held.refused = Some(reason));
    }

    /// Leaves word that the stream broke off.
    pub(super) fn failed(&self, reason: String) {
        self.change(|held| {
            held.end.get_or_insert(Err(reason));
        });
    }

    fn ended(&self) {
        self.change(|held| {
            held.end.get_or_insert(Ok(()));
        });
    }

    /// Whether the last picture was not taken yet.
    pub(super) fn is_waiting(&self) -> bool {
        self.lock().picture.is_some()
    }

    /// Waits at most `timeout` for something to arrive. The end comes after everything else.
    pub(super) fn take(&self, timeout: Duration) -> Post {
        let until = Instant::now() + timeout;
        let mut held = self.lock();
        loop {
            if let Some(picture) = held.picture.take() {
                return Post::Picture(picture);
            }
            if let Some(reason) = held.refused.take() {
                return Post::Refused(reason);
            }
            match held.end.take() {
                Some(Ok(())) => return Post::Ended,
                Some(Err(reason)) => return Post::Failed(reason),
                None => {}
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Post::Nothing;
            }
            let changed = &self.0.changed;
            held = changed
                .wait_timeout(held, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// Set when a session is to end.
#[derive(Clone, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Whether the session was dropped.
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Sleeps for `span`, or shorter if the session is dropped; tells whether it was.
    pub(super) fn sleep(&self, span: Duration) -> bool {
        let until = Instant::now() + span;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.is_set() {
                return self.is_set();
            }
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
    }
}

/// A session that works on one thread.
pub(super) struct Worker {
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Runs `work` on a thread. However it ends, also by a panic, the inbox hears of it.
    pub(super) fn start(
        name: &str,
        inbox: &Inbox,
        work: impl FnOnce(&Inbox, &Stop) -> Result<Over, String> + Send + 'static,
    ) -> Result<Self, String> {
        let stop = Stop::default();
        let (inbox, seen) = (inbox.clone(), stop.clone());
        let thread = std::thread::Builder::new()
            .name(format!("camera-{name}"))
            .spawn(
                move || match catch_unwind(AssertUnwindSafe(|| work(&inbox, &seen))) {
                    Ok(Ok(Over::Ended)) => inbox.ended(),
                    Ok(Ok(Over::Stopped)) => {}
                    Ok(Err(reason)) => inbox.failed(reason),
                    Err(_) => inbox.failed("the stream made its reader panic".to_owned()),
                },
            )
            .map_err(|error| format!("no thread could be started for the camera: {error}"))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Session for Worker {}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.set();
        let Some(thread) = self.thread.take() else {
            return;
        };
        // A thread in a read that cannot be interrupted is left behind; it ends with its read
        // and can only write into an inbox that nobody looks at any more.
        let until = Instant::now() + Duration::from_secs(1);
        while !thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        if thread.is_finished() && thread.join().is_err() {
            tracing::debug!("a camera's reader thread panicked while it ended");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::SystemClock;
    use super::*;

    fn inbox() -> Inbox {
        Inbox::new(Arc::new(SystemClock))
    }

    #[test]
    fn the_latest_picture_comes_before_the_end() {
        let inbox = inbox();
        for width in 1..4 {
            inbox.picture(Pixels::Rgb {
                rgb: Vec::new(),
                width,
                height: 1,
            });
        }
        inbox.failed("gone".to_owned());
        inbox.failed("a later reason that explains less".to_owned());
        let Post::Picture(Arrival {
            pixels: Pixels::Rgb { width: 3, .. },
            ..
        }) = inbox.take(Duration::ZERO)
        else {
            panic!("the latest picture was not delivered");
        };
        assert!(matches!(inbox.take(Duration::ZERO), Post::Failed(reason) if reason == "gone"));
        assert!(matches!(inbox.take(Duration::ZERO), Post::Nothing));
    }

    #[test]
    fn a_panic_in_the_work_is_a_failure_of_the_stream() {
        let inbox = inbox();
        let worker = Worker::start("test", &inbox, |_, _| panic!("on purpose")).unwrap();
        assert!(matches!(
            inbox.take(Duration::from_secs(10)),
            Post::Failed(_)
        ));
        drop(worker);
    }

    #[test]
    fn dropping_a_session_stops_its_work() {
        let inbox = inbox();
        let worker = Worker::start("test", &inbox, |_, stop| {
            while !stop.sleep(Duration::from_mins(1)) {}
            Ok(Over::Stopped)
        })
        .unwrap();
        drop(worker);
        assert!(matches!(inbox.take(Duration::ZERO), Post::Nothing));
    }
}
