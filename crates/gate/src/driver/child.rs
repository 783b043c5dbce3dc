//! One relay guard process, seen from the daemon.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command as Program, Stdio};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use super::Message;
use crate::protocol::{Command, Lines, PROTOCOL_VERSION, Report, line_of};
use crate::time::Monotonic;
use crate::wiring::Wiring;

/// How often the daemon's loop shows that it turns.
const BEAT: Duration = Duration::from_millis(100);
/// A guard that answers nothing for this long has hung.
const ANSWER: Duration = Duration::from_millis(600);
/// A guard that is not ready by then cannot open its port.
const READY: Duration = Duration::from_secs(2);

/// The program that runs [`crate::relay_guard::run`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardProgram {
    /// Path of the executable.
    pub exe: PathBuf,
    /// Its arguments, for example `relay-guard`.
    pub args: Vec<OsString>,
}

/// A running relay guard.
#[derive(Debug)]
pub(super) struct GuardChild {
    child: Child,
    stdin: Option<ChildStdin>,
    spawned: Monotonic,
    ready: Option<Monotonic>,
    next_beat: Monotonic,
    /// Since when a beat stands unanswered.
    unanswered: Option<Monotonic>,
    looked: Monotonic,
    /// A pulse was ordered and no release has been told since.
    pulsing: bool,
}

impl GuardChild {
    /// Starts the program, says hello, and lets a thread pass its reports on to `inbox`.
    pub(super) fn spawn(
        program: &GuardProgram,
        wiring: &Wiring,
        generation: u64,
        inbox: Sender<Message>,
    ) -> io::Result<Self> {
        let mut child = Program::new(&program.exe)
            .args(&program.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C at a terminal must not reach the guard before the daemon's own end.
            .process_group(0)
            .spawn()?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take();
        let now = Monotonic::read();
        let mut guard = Self {
            child,
            stdin,
            spawned: now,
            ready: None,
            next_beat: now,
            unanswered: None,
            looked: now,
            pulsing: false,
        };
        if let Some(stdout) = stdout {
            thread::Builder::new()
                .name("relay-guard-reports".to_owned())
                .spawn(move || pass_on(stdout, generation, &inbox))?;
        }
        guard.send(&Command::Hello {
            version: PROTOCOL_VERSION,
            wiring: wiring.clone(),
        })?;
        Ok(guard)
    }

    pub(super) fn send(&mut self, command: &Command) -> io::Result<()> {
        let line = line_of(command).map_err(io::Error::other)?;
        self.pulsing |= matches!(command, Command::Pulse { .. });
        match &mut self.stdin {
            Some(stdin) => stdin.write_all(&line),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    pub(super) fn became_ready(&mut self, now: Monotonic) {
        self.ready = Some(now);
    }

    /// Whether the port is open.
    pub(super) fn is_ready(&self) -> bool {
        self.ready.is_some()
    }

    /// How long the port has been open.
    pub(super) fn ready_for(&self, now: Monotonic) -> Duration {
        self.ready.map_or(Duration::ZERO, |at| now.since(at))
    }

    /// Its relay was told to be released.
    pub(super) fn released(&mut self) {
        self.pulsing = false;
    }

    /// Whether its relay may be energised.
    pub(super) fn is_pulsing(&self) -> bool {
        self.pulsing
    }

    pub(super) fn answered_beat(&mut self) {
        self.unanswered = None;
    }

    /// Sends a beat when one is due, and says what is wrong with the guard, if anything.
    pub(super) fn upkeep(&mut self, now: Monotonic) -> Result<(), String> {
        if self.ready.is_none() {
            return if now.since(self.spawned) < READY {
                Ok(())
            } else {
                Err("it did not open its port within 2 s".to_owned())
            };
        }
        if now.since(self.looked) > BEAT * 3 {
            // It was this loop that stalled: the answer may lie unread.
            self.unanswered = self.unanswered.map(|_| now);
        }
        self.looked = now;
        if self.unanswered.is_some_and(|at| now.since(at) >= ANSWER) {
            return Err("it has not answered for 600 ms".to_owned());
        }
        if now >= self.next_beat {
            self.next_beat = now + BEAT;
            self.unanswered.get_or_insert(now);
            self.send(&Command::Beat)
                .map_err(|why| format!("its pipe broke: {why}"))?;
        }
        Ok(())
    }

    /// Kills the process. It must still be reaped.
    pub(super) fn kill(&mut self) {
        self.stdin = None;
        let _ = self.child.kill();
    }

    /// Whether the process has ended and was reaped.
    pub(super) fn reaped(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until the process has ended, at most `limit`.
    pub(super) fn wait(&mut self, limit: Duration) -> bool {
        let began = Monotonic::read();
        loop {
            if self.reaped() {
                return true;
            }
            if Monotonic::read().since(began) >= limit {
                return false;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Closes the pipe, on which the guard releases and ends by itself; kills it only when it
    /// does not.
    pub(super) fn dismiss(&mut self, patience: Duration) {
        self.stdin = None;
        if !self.wait(patience) {
            self.kill();
            self.wait(patience);
        }
    }
}

impl Drop for GuardChild {
    fn drop(&mut self) {
        self.dismiss(Duration::from_millis(200));
    }
}

fn pass_on(mut stdout: ChildStdout, generation: u64, inbox: &Sender<Message>) {
    let mut lines = Lines::default();
    let mut bytes = [0_u8; 4096];
    loop {
        let read = match stdout.read(&mut bytes) {
            Ok(read) if read > 0 => read,
            Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
            _ => break,
        };
        for report in lines.feed::<Report>(&bytes[..read]) {
            match report {
                Ok(report) => {
                    if inbox.send(Message::Report { generation, report }).is_err() {
                        return;
                    }
                }
                Err(why) => tracing::warn!(%why, "the relay guard said something unreadable"),
            }
        }
    }
    let _ = inbox.send(Message::Gone { generation });
}
