//! The child process that holds the relay's line: the thin loop around [`PulseTimer`].
//!
//! `menshen relay-guard` calls [`run`] with its standard input and output. It reads the wiring
//! as its first line, opens the port with everything inactive, says `ready`, and then obeys
//! [`PulseTimer`]. It releases and ends when its input closes, when it is told to (`bye`,
//! SIGTERM, SIGINT, SIGHUP), when its parent dies, and when nobody reads what it says; it
//! never waits for anybody while a relay is energised. Only SIGKILL and a crash of the
//! machine can leave a line driven; the next guard's first write, and `safe-off`, end that.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::protocol::{Command, LineError, Lines, PROTOCOL_VERSION, Relay, Report, line_of};
use crate::pulse_timer::{Order, PulseTimer};
use crate::relay::{self, PortError, RelayPort};
use crate::time::Monotonic;
use crate::wiring::Wiring;

/// How often the inputs are sampled.
pub const SAMPLE: Duration = Duration::from_millis(5);
/// The longest time between two looks at the signals.
const LOOK: Duration = Duration::from_millis(50);
/// The longest text of an error report: a report must fit into a pipe in one piece.
const TEXT_MAX: usize = 500;

/// Why a relay guard could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The first line was not a usable `hello`.
    #[error("relay guard: {0}; it is started by menshen run, not by hand")]
    Hello(String),
    /// The port could not be opened.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A system call on the pipes failed.
    #[error("relay guard: {what} failed: {why}; the daemon starts a new one")]
    System {
        /// Which.
        what: &'static str,
        /// The system's words.
        why: String,
    },
}

fn system(what: &'static str) -> impl Fn(Errno) -> GuardError {
    move |why| GuardError::System {
        what,
        why: why.to_string(),
    }
}

/// Serves one daemon over a pair of pipes until it says `bye`, dies or falls away.
///
/// # Errors
/// [`GuardError`] when the first line is unusable, the port cannot be opened, or a pipe cannot
/// be read. Nothing is energised when this returns.
pub fn run(stdin: impl AsFd, stdout: impl AsFd) -> Result<(), GuardError> {
    let told_to_end = Arc::new(AtomicBool::new(false));
    for signal in [
        signal_hook::consts::SIGTERM,
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGHUP,
    ] {
        signal_hook::flag::register(signal, Arc::clone(&told_to_end)).map_err(|why| {
            GuardError::System {
                what: "registering a signal",
                why: why.to_string(),
            }
        })?;
    }
    // Belt and braces: the pipe closes with the parent. SIGTERM is handled above.
    let _ = set_parent_process_death_signal(Some(Signal::TERM));

    let mut inbox = Inbox::new(stdin.as_fd());
    let outbox = Outbox(stdout.as_fd());
    let Some(wiring) =
        greet(&mut inbox, &told_to_end).inspect_err(|why| outbox.complain(&why.to_string()))?
    else {
        return Ok(());
    };
    let mut port = relay::open(&wiring).inspect_err(|why| outbox.complain(&why.to_string()))?;
    let closed = port
        .read_contacts()
        .inspect_err(|why| outbox.complain(&why.to_string()))?;
    let now = Monotonic::read();
    let mut guard = Guard {
        port,
        timer: PulseTimer::new(now),
        outbox,
        contacts: closed.clone(),
        ended: false,
    };
    guard.obey(vec![Order::Say(Report::Ready {
        version: PROTOCOL_VERSION,
        at_ns: now,
        closed,
    })]);
    guard.serve(&mut inbox, !wiring.inputs().is_empty(), &told_to_end)
}

/// Waits for `hello`; `None` when the daemon went away before it.
fn greet(inbox: &mut Inbox, told_to_end: &AtomicBool) -> Result<Option<Wiring>, GuardError> {
    loop {
        match inbox.messages.pop_front() {
            Some(Ok(Command::Hello { version, wiring })) if version == PROTOCOL_VERSION => {
                return Ok(Some(wiring));
            }
            Some(Ok(Command::Hello { version, .. })) => {
                return Err(GuardError::Hello(format!(
                    "the daemon speaks protocol {version}, this guard {PROTOCOL_VERSION}: \
                     restart menshen after an upgrade"
                )));
            }
            Some(Ok(_)) => return Err(GuardError::Hello("the first line is no hello".to_owned())),
            Some(Err(why)) => return Err(GuardError::Hello(why.to_string())),
            None if inbox.closed || told_to_end.load(Ordering::Relaxed) => return Ok(None),
            None => inbox.wait(LOOK)?,
        }
    }
}

/// The daemon's commands.
struct Inbox<'fd> {
    fd: BorrowedFd<'fd>,
    lines: Lines,
    messages: VecDeque<Result<Command, LineError>>,
    closed: bool,
}

impl<'fd> Inbox<'fd> {
    fn new(fd: BorrowedFd<'fd>) -> Self {
        Self {
            fd,
            lines: Lines::default(),
            messages: VecDeque::new(),
            closed: false,
        }
    }

    /// Waits at most `limit` for bytes and takes what has come.
    fn wait(&mut self, limit: Duration) -> Result<(), GuardError> {
        let limit = Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(0),
            tv_nsec: i64::from(limit.subsec_nanos()),
        };
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        let watched = if self.closed {
            &mut fds[..0]
        } else {
            &mut fds[..]
        };
        match poll(watched, Some(&limit)) {
            Ok(0) | Err(Errno::INTR) => return Ok(()),
            Ok(_) => {}
            Err(why) => return Err(system("waiting for commands")(why)),
        }
        let mut bytes = [0_u8; 4096];
        match rustix::io::read(self.fd, &mut bytes) {
            Ok(0) => self.closed = true,
            Ok(read) => self.messages.extend(self.lines.feed(&bytes[..read])),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(why) => return Err(system("reading commands")(why)),
        }
        Ok(())
    }
}

/// The daemon's end of the guard's words.
struct Outbox<'fd>(BorrowedFd<'fd>);

impl Outbox<'_> {
    /// Writes a report unless that would mean waiting; false when it was not taken.
    fn say(&self, report: &Report) -> bool {
        let Ok(line) = line_of(report) else {
            return false;
        };
        let mut fds = [PollFd::new(&self.0, PollFlags::OUT)];
        let room = poll(&mut fds, Some(&Timespec::default())) == Ok(1)
            && fds[0].revents().contains(PollFlags::OUT);
        room && rustix::io::write(self.0, &line) == Ok(line.len())
    }

    fn complain(&self, text: &str) {
        let text = text.chars().take(TEXT_MAX).collect();
        self.say(&Report::Error { text });
    }
}

/// The port, its judge and its voice.
struct Guard<'fd> {
    port: Box<dyn RelayPort>,
    timer: PulseTimer,
    outbox: Outbox<'fd>,
    contacts: Vec<bool>,
    ended: bool,
}

impl Guard<'_> {
    fn serve(
        &mut self,
        inbox: &mut Inbox,
        sampling: bool,
        told_to_end: &AtomicBool,
    ) -> Result<(), GuardError> {
        let mut ending = false;
        while !self.ended {
            let now = Monotonic::read();
            let look = if sampling { SAMPLE } else { LOOK };
            let limit = self
                .timer
                .deadline()
                .map_or(look, |at| at.since(now).min(look));
            if inbox.messages.is_empty() {
                inbox.wait(limit)?;
            }
            while let Some(message) = inbox.messages.pop_front() {
                match message {
                    Ok(command) => {
                        let orders = self.timer.command(Monotonic::read(), command);
                        self.obey(orders);
                    }
                    Err(why) => self.outbox.complain(&why.to_string()),
                }
            }
            if !ending && (inbox.closed || told_to_end.load(Ordering::Relaxed)) {
                ending = true;
                let orders = self.timer.end(Monotonic::read());
                self.obey(orders);
            }
            let orders = self.timer.tick(Monotonic::read());
            self.obey(orders);
            if sampling && !self.ended {
                self.sample()?;
            }
        }
        Ok(())
    }

    fn sample(&mut self) -> Result<(), GuardError> {
        let contacts = self
            .port
            .read_contacts()
            .inspect_err(|why| self.outbox.complain(&why.to_string()))?;
        if contacts != self.contacts {
            self.contacts.clone_from(&contacts);
            self.obey(vec![Order::Say(Report::Inputs {
                at_ns: Monotonic::read(),
                closed: contacts,
            })]);
        }
        Ok(())
    }

    fn obey(&mut self, orders: Vec<Order>) {
        let mut orders = VecDeque::from(orders);
        while let Some(order) = orders.pop_front() {
            if self.ended {
                return;
            }
            let further = match order {
                Order::Energise(relay @ Relay::Open) => {
                    let answer = self.port.set(relay, true).map_err(|why| why.to_string());
                    self.timer.energised(Monotonic::read(), answer)
                }
                Order::ReleaseAll => {
                    let answer = self.port.release_all().map_err(|why| why.to_string());
                    self.timer.released(Monotonic::read(), answer)
                }
                Order::Say(report) => {
                    if self.outbox.say(&report) {
                        continue;
                    }
                    // Nobody listens: whoever started this pulse cannot follow it.
                    self.ended = self.port.release_all().is_ok();
                    Vec::new()
                }
                Order::End => {
                    self.ended = true;
                    Vec::new()
                }
            };
            for order in further.into_iter().rev() {
                orders.push_front(order);
            }
        }
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        // Also reached when something above panics.
        let _ = self.port.release_all();
    }
}
