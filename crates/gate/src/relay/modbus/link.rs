//! The way to a board: a tty or a TCP connection, and one request and its answer on it.

use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::termios::{QueueSelector, tcflush};

use super::frame::{
    Fault, Request, rtu_frame, rtu_length, rtu_opened, tcp_frame, tcp_length, tcp_opened,
};
use crate::relay::{PortError, tty};
use crate::time::Monotonic;
use crate::wiring::ModbusBus;

/// The shortest silence between two frames on a serial line, whatever its speed.
const GAP_MIN: Duration = Duration::from_micros(1750);
/// Three and a half characters of eleven bits, in millionths of a bit.
const GAP_BITS: u64 = 38_500_000;

/// One unit on one line.
pub(super) struct Link {
    unit: u8,
    line: Line,
}

enum Line {
    Rtu {
        tty: OwnedFd,
        gap: Duration,
        /// When the last exchange ended.
        spoke: Monotonic,
    },
    Tcp {
        address: SocketAddr,
        connection: Option<OwnedFd>,
        /// Of the last request.
        number: u16,
    },
}

impl Link {
    /// Opens the tty. A TCP connection is made with the first request.
    pub(super) fn open(bus: &ModbusBus, unit: u8) -> Result<Self, PortError> {
        let line = match bus {
            ModbusBus::Rtu { port, baud } => Line::Rtu {
                tty: tty::open(port, *baud)?,
                gap: Duration::from_micros(GAP_BITS / u64::from(*baud).max(1)).max(GAP_MIN),
                spoke: Monotonic::read(),
            },
            ModbusBus::Tcp { address } => Line::Tcp {
                address: *address,
                connection: None,
                number: 0,
            },
        };
        Ok(Self { unit, line })
    }

    /// Sends `request` and waits for its answer, at the latest until `until`. Gives what was
    /// read, see [`Request::answered`].
    ///
    /// # Errors
    /// [`Fault`]; whether the board has carried the request out is then not known, unless it
    /// was refused.
    pub(super) fn exchange(
        &mut self,
        request: Request,
        until: Monotonic,
    ) -> Result<Vec<bool>, Fault> {
        let unit = self.unit;
        match &mut self.line {
            Line::Rtu { tty, gap, spoke } => {
                thread::sleep((*spoke + *gap).since(Monotonic::read()));
                let answer = tcflush(&*tty, QueueSelector::IFlush)
                    .map_err(|why| Fault::System(why.to_string()))
                    .and_then(|()| send(tty, &rtu_frame(unit, request)))
                    .and_then(|()| {
                        let open = |frame: &[u8]| request.answered(rtu_opened(unit, frame)?);
                        receive(tty, rtu_length, open, until)
                    });
                *spoke = Monotonic::read();
                answer
            }
            Line::Tcp {
                address,
                connection,
                number,
            } => {
                let mut answer = Err(Fault::Closed);
                // A connection that stood idle may have ended; that shows at its first use.
                for _ in 0..2 {
                    let kept = connection.take();
                    let fresh = kept.is_none();
                    let fd = match kept {
                        Some(kept) => kept,
                        None => connect(*address, until)?,
                    };
                    *number = number.wrapping_add(1);
                    let number = *number;
                    answer = send(&fd, &tcp_frame(number, unit, request)).and_then(|()| {
                        let open =
                            |frame: &[u8]| request.answered(tcp_opened(number, unit, frame)?);
                        receive(&fd, tcp_length, open, until)
                    });
                    match answer {
                        Ok(_) | Err(Fault::Refused(_)) => *connection = Some(fd),
                        Err(Fault::Closed) if !fresh => continue,
                        Err(_) => {}
                    }
                    break;
                }
                answer
            }
        }
    }
}

fn connect(address: SocketAddr, until: Monotonic) -> Result<OwnedFd, Fault> {
    let left = until.since(Monotonic::read());
    if left.is_zero() {
        return Err(Fault::Silent);
    }
    TcpStream::connect_timeout(&address, left)
        .and_then(|stream| {
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            Ok(OwnedFd::from(stream))
        })
        .map_err(|why| Fault::System(format!("connecting: {why}")))
}

fn send(line: &OwnedFd, frame: &[u8]) -> Result<(), Fault> {
    match rustix::io::write(line, frame) {
        Ok(written) if written == frame.len() => Ok(()),
        Ok(written) => Err(Fault::System(format!(
            "only {written} of {} bytes were taken",
            frame.len()
        ))),
        Err(Errno::PIPE | Errno::CONNRESET) => Err(Fault::Closed),
        Err(why) => Err(Fault::System(why.to_string())),
    }
}

/// Collects bytes until a frame is whole that `open` takes or that cannot be passed over.
fn receive(
    line: &OwnedFd,
    length: fn(&[u8]) -> Result<Option<usize>, Fault>,
    open: impl Fn(&[u8]) -> Result<Vec<bool>, Fault>,
    until: Monotonic,
) -> Result<Vec<bool>, Fault> {
    let mut bytes = Vec::new();
    let mut passed_over = None;
    loop {
        while let Some(whole) = length(&bytes)?.filter(|whole| *whole <= bytes.len()) {
            match open(&bytes[..whole]) {
                Err(why) if why.may_pass() => passed_over = Some(why),
                answer => return answer,
            }
            bytes.drain(..whole);
        }
        match more(line, &mut bytes, until) {
            Err(Fault::Silent) if !bytes.is_empty() => return Err(Fault::Short(bytes.len())),
            Err(Fault::Silent) => return Err(passed_over.unwrap_or(Fault::Silent)),
            taken => taken?,
        }
    }
}

/// Waits for bytes, at the latest until `until`.
fn more(line: &OwnedFd, bytes: &mut Vec<u8>, until: Monotonic) -> Result<(), Fault> {
    let system = |why: Errno| Fault::System(why.to_string());
    loop {
        let left = until.since(Monotonic::read());
        if left.is_zero() {
            // Also on a line that never stops babbling.
            return Err(Fault::Silent);
        }
        let limit = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(0),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        let mut fds = [PollFd::new(line, PollFlags::IN)];
        match poll(&mut fds, Some(&limit)) {
            Ok(0) => return Err(Fault::Silent),
            Err(Errno::INTR) => continue,
            Ok(_) => {}
            Err(why) => return Err(system(why)),
        }
        let mut some = [0_u8; 256];
        match rustix::io::read(line, &mut some) {
            Ok(0) | Err(Errno::CONNRESET) => return Err(Fault::Closed),
            Ok(read) => {
                bytes.extend_from_slice(&some[..read]);
                return Ok(());
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(why) => return Err(system(why)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// On a line that babbles there is always one more byte.
    #[test]
    fn what_comes_too_late_is_not_waited_for() {
        let (line, board) = rustix::pipe::pipe().unwrap();
        rustix::io::write(&board, b"late").unwrap();
        let mut bytes = Vec::new();
        let over = Monotonic::read();
        assert_eq!(more(&line, &mut bytes, over), Err(Fault::Silent));
        more(&line, &mut bytes, over + Duration::from_secs(5)).unwrap();
        assert_eq!(bytes, b"late");
    }
}
