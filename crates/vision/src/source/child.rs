//! Programs that work for a camera: started, listened to, and ended with it.
//!
//! A child must not outlive the daemon, however the daemon ends. Three things see to it: a
//! child that reads our pipe finds it closed, one that writes to ours is stopped by its next
//! write, and where util-linux's `setpriv` is installed the kernel kills it when the thread
//! that started it is gone. Each child leads a process group of its own, so that Ctrl-C at a
//! terminal reaches the daemon alone and what the child started goes with it.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use domain::Words;

use super::config::Problem;
use super::netpbm::{Item, Parser, Picture};
use super::session::{Inbox, Over, Pixels, Stop};

/// How long the last words of a child that has ended are waited for.
const LAST_WORDS_WITHIN: Duration = Duration::from_millis(300);

/// How many of its last lines on standard error a child is remembered by.
const TAIL_LINES: usize = 6;
/// The most of one line that is kept, in characters.
const TAIL_WIDTH: usize = 300;
/// Large pipes cost fewer switches between the child and us.
const PIPE_BYTES: usize = 1 << 20;

/// Finds a program by its path, or by its name on `PATH`.
fn find(program: &Path) -> Option<PathBuf> {
    let is_program = |path: &Path| {
        path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
    };
    if program.components().count() > 1 {
        return Some(program.to_owned()).filter(|path| is_program(path));
    }
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|path| is_program(path))
}

fn find_or(wanted: Option<&Path>, names: &[&str], package: &str) -> Result<PathBuf, Problem> {
    let found = match wanted {
        Some(program) => find(program),
        None => names.iter().find_map(|name| find(Path::new(name))),
    };
    found.ok_or_else(|| {
        let (wrong, cure) = wanted.map_or_else(|| not_installed(names, package), not_executable);
        Problem::new("program", wrong, cure)
    })
}

fn not_executable(program: &Path) -> (Words, Words) {
    let program = program.display();
    (
        Words::new(
            format!("{program} 不在那里，或不能执行"),
            format!("{program} is not there or not executable"),
        ),
        Words::new(
            "改正 program，或删去它以使用系统里的程序",
            "correct program, or leave it out to use the system's",
        ),
    )
}

fn not_installed(names: &[&str], package: &str) -> (Words, Words) {
    (
        Words::new(
            format!("没有安装 {}", names.join(" 或 ")),
            format!("{} is not installed", names.join(" or ")),
        ),
        Words::new(
            format!("安装它：apt install {package}"),
            format!("install it: apt install {package}"),
        ),
    )
}

/// The decoder: the one named, or `ffmpeg` on `PATH`.
pub(super) fn find_ffmpeg(wanted: Option<&Path>) -> Result<PathBuf, Problem> {
    find_or(wanted, &["ffmpeg"], "ffmpeg")
}

/// The Raspberry Pi's camera program: the one named, or what `PATH` has.
pub(super) fn find_rpicam(wanted: Option<&Path>) -> Result<PathBuf, Problem> {
    find_or(wanted, &["rpicam-vid", "libcamera-vid"], "rpicam-apps")
}

/// A running child. Dropping it kills its process group and collects it.
pub(super) struct Child {
    process: Mutex<std::process::Child>,
    tail: Arc<Mutex<VecDeque<String>>>,
    name: String,
    pictured: AtomicBool,
    /// Listens to what it says beside its pictures.
    ear: OnceLock<JoinHandle<()>>,
}

/// A child with the pipes to and from it.
pub(super) struct Started {
    pub(super) child: Arc<Child>,
    /// If it was asked for.
    pub(super) stdin: Option<ChildStdin>,
    pub(super) stdout: ChildStdout,
}

impl Child {
    /// Starts `program`. Call it on a thread that lives as long as the child may: the kernel's
    /// death signal follows the thread, not the process.
    pub(super) fn start(
        program: &Path,
        arguments: &[OsString],
        stdin: Stdio,
    ) -> Result<Started, String> {
        let mut command = match find(Path::new("setpriv")) {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "KILL", "--"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        let name = program
            .file_name()
            .unwrap_or(program.as_os_str())
            .to_string_lossy()
            .into_owned();
        let mut process = command
            .args(arguments)
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{} could not be started: {error}", program.display()))?;
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let (stdin, stdout) = (process.stdin.take(), process.stdout.take());
        let stderr = process.stderr.take();
        let child = Arc::new(Self {
            process: Mutex::new(process),
            tail: Arc::clone(&tail),
            name,
            pictured: AtomicBool::new(false),
            ear: OnceLock::new(),
        });
        if let Some(stderr) = stderr {
            let called = child.name.clone();
            let ear = std::thread::Builder::new()
                .name("camera-stderr".to_owned())
                .spawn(move || listen(stderr, &tail, &called))
                .map_err(|error| format!("no thread could be started for the camera: {error}"))?;
            child.ear.get_or_init(|| ear);
        }
        if let Some(stdout) = &stdout
            && let Err(error) = rustix::pipe::fcntl_setpipe_size(stdout, PIPE_BYTES)
        {
            tracing::debug!(%error, "the pipe keeps its usual size");
        }
        Ok(Started {
            child,
            stdin,
            stdout: stdout.ok_or("the child has no output")?,
        })
    }

    /// What a child whose output has ended says about it: how it exited, and its last words.
    pub(super) fn last_words(&self) -> String {
        let how = match self.wait(Duration::from_secs(1)) {
            Some(status) => describe(status),
            None => "closed its output but goes on running".to_owned(),
        };
        // What it said last may still be on its way; a child of its own may hold the pipe open.
        let heard = || self.ear.get().is_none_or(JoinHandle::is_finished);
        let until = Instant::now() + LAST_WORDS_WITHIN;
        while !heard() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        let words: Vec<String> = {
            let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
            tail.iter().cloned().collect()
        };
        if words.is_empty() {
            format!("{} {how}", self.name)
        } else {
            format!("{} {how}: {}", self.name, words.join(" | "))
        }
    }

    /// Whether the child has ever delivered a picture.
    pub(super) fn has_pictured(&self) -> bool {
        self.pictured.load(Ordering::Relaxed)
    }

    /// Whether the child ended by itself and is content with it.
    pub(super) fn succeeded(&self) -> bool {
        self.wait(Duration::from_secs(1))
            .is_some_and(|status| status.success())
    }

    /// Kills the child's process group and collects the child.
    pub(super) fn kill(&self) {
        let group = {
            let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
            // Once collected, the number may belong to someone else.
            match process.try_wait() {
                Ok(None) => i32::try_from(process.id()).ok(),
                _ => None,
            }
        };
        let Some(group) = group.and_then(rustix::process::Pid::from_raw) else {
            return;
        };
        if let Err(error) =
            rustix::process::kill_process_group(group, rustix::process::Signal::KILL)
        {
            tracing::debug!(%error, child = self.name, "the child was gone already");
        }
        if self.wait(Duration::from_secs(1)).is_none() {
            tracing::warn!(
                child = self.name,
                "the child does not end though killed; does its device hang?"
            );
        }
    }

    fn wait(&self, at_most: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + at_most;
        loop {
            let status = self
                .process
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .try_wait()
                .ok()?;
            if status.is_some() || Instant::now() >= until {
                return status;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code @ 1..), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        _ => "ended".to_owned(),
    }
}

/// Remembers the last lines a child writes, without control characters.
fn listen(mut stderr: ChildStderr, tail: &Mutex<VecDeque<String>>, name: &str) {
    let mut line = String::new();
    let keep = |line: &mut String| {
        if !line.trim().is_empty() {
            tracing::debug!(child = name, "{line}");
            let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
            if tail.len() == TAIL_LINES {
                tail.pop_front();
            }
            tail.push_back(line.trim().to_owned());
        }
        line.clear();
    };
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut buffer) {
        for character in String::from_utf8_lossy(&buffer[..count]).chars() {
            match character {
                '\n' | '\r' => keep(&mut line),
                _ if line.len() >= TAIL_WIDTH => {}
                _ if character.is_control() => line.push('?'),
                _ => line.push(character),
            }
        }
    }
    keep(&mut line);
}

/// Passes the PPM or PAM pictures of a child's output on until it ends. A child that writes
/// anything else is in a state nobody can know, and is given up.
pub(super) fn read_pictures(
    mut stdout: ChildStdout,
    child: &Child,
    inbox: &Inbox,
    stop: &Stop,
) -> Result<Over, String> {
    let mut parser = Parser::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = stdout
            .read(&mut buffer)
            .map_err(|error| format!("the output of {} cannot be read: {error}", child.name))?;
        if stop.is_set() {
            return Ok(Over::Stopped);
        }
        if count == 0 {
            return if parser.is_between_pictures() {
                Ok(Over::Ended)
            } else {
                Err(child.last_words())
            };
        }
        let mut fault = None;
        parser.push(&buffer[..count], |item| match item {
            Item::Picture(Picture { rgb, width, height }) => {
                child.pictured.store(true, Ordering::Relaxed);
                inbox.picture(Pixels::Rgb { rgb, width, height });
            }
            Item::Fault(found) => fault = fault.or(Some(found)),
        });
        if let Some(fault) = fault {
            child.kill();
            return Err(format!("{} was stopped: {fault}", child.name));
        }
    }
}
