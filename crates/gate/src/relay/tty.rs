//! Opening a tty that a relay board hangs on.

use std::path::Path;

use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::termios::{ControlModes, OptionalActions};

use super::PortError;

/// Opens the tty raw, 8N1 at `baud`, without waiting for a carrier and without ever blocking
/// on it, and takes an advisory lock so that two daemons cannot share a board.
///
/// # Errors
/// [`PortError`] when the tty is absent, not permitted, locked by somebody else, or no tty.
pub(super) fn open(path: &Path, baud: u32) -> Result<OwnedFd, PortError> {
    let failed = |what, why: rustix::io::Errno, cure| PortError {
        port: path.display().to_string(),
        what,
        why: why.to_string(),
        cure,
    };
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let tty = rustix::fs::open(path, flags, Mode::empty()).map_err(|why| {
        failed(
            "opening",
            why,
            "check that the board is plugged in and that this user is in its tty's group \
             (dialout on Debian)",
        )
    })?;
    rustix::fs::flock(&tty, FlockOperation::NonBlockingLockExclusive).map_err(|why| {
        failed(
            "locking",
            why,
            "let no other program use the board; end the other menshen",
        )
    })?;
    let cure = "give the path of a tty that the board is connected to";
    let mut termios =
        rustix::termios::tcgetattr(&tty).map_err(|why| failed("setting up", why, cure))?;
    termios.make_raw();
    termios.control_modes |= ControlModes::CLOCAL | ControlModes::CREAD;
    termios.control_modes -=
        ControlModes::CSTOPB | ControlModes::PARENB | ControlModes::CRTSCTS | ControlModes::HUPCL;
    termios
        .set_speed(baud)
        .and_then(|()| rustix::termios::tcsetattr(&tty, OptionalActions::Now, &termios))
        .map_err(|why| failed("setting up", why, cure))?;
    Ok(tty)
}
