//! USB and serial relay boards of the LCUS-1 kind: a CH340 and four bytes at 9600 8N1.
//!
//! A command is `A0`, the relay counted from 1, `01` to energise or `00` to release, and the
//! sum of the three modulo 256. The board answers nothing that is needed and has no inputs.
//! Its relays drop out with its supply, not with the tty, so the first thing written after
//! opening is the release.

use std::path::Path;

use rustix::fd::OwnedFd;

use super::{PortError, RelayPort, tty};
use crate::protocol::Relay;

const BAUD: u32 = 9600;

pub(super) struct SerialBoard {
    port: String,
    channel: u8,
    tty: OwnedFd,
}

/// The four bytes that switch relay `channel`.
pub(super) fn frame(channel: u8, energised: bool) -> [u8; 4] {
    let head = 0xA0_u8;
    let state = u8::from(energised);
    let sum = head.wrapping_add(channel).wrapping_add(state);
    [head, channel, state, sum]
}

impl SerialBoard {
    /// Opens the tty and releases the relay.
    pub(super) fn open(path: &Path, channel: u8) -> Result<Self, PortError> {
        let tty = tty::open(path, BAUD)?;
        let port = path.display().to_string();
        let mut board = Self { port, channel, tty };
        board.release_all()?;
        Ok(board)
    }
}

impl RelayPort for SerialBoard {
    fn set(&mut self, relay: Relay, energised: bool) -> Result<(), PortError> {
        let Relay::Open = relay;
        let bytes = frame(self.channel, energised);
        let why = match rustix::io::write(&self.tty, &bytes) {
            Ok(written) if written == bytes.len() => return Ok(()),
            Ok(written) => format!("only {written} of {} bytes were taken", bytes.len()),
            Err(why) => why.to_string(),
        };
        Err(PortError {
            port: self.port.clone(),
            what: "writing",
            why,
            cure: "check the board's cable and supply; a board that was unplugged is opened \
                   anew by itself",
        })
    }

    fn read_contacts(&mut self) -> Result<Vec<bool>, PortError> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::frame;

    #[test]
    fn frames_match_the_boards_sheet() {
        assert_eq!(frame(1, true), [0xA0, 0x01, 0x01, 0xA2]);
        assert_eq!(frame(1, false), [0xA0, 0x01, 0x00, 0xA1]);
        assert_eq!(frame(16, true), [0xA0, 0x10, 0x01, 0xB1]);
    }
}
