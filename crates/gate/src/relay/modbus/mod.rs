//! Relay boards that speak Modbus, on a serial line (RTU) or over TCP.
//!
//! A relay is a coil: function 05 switches it, the board repeats the request, and function 01
//! then asks what the coil is, so that an adapter which only echoes is not taken for a board.
//! A board that does not know function 01 is believed without. Inputs are read by function 02.
//! The first thing done after opening is the release.
//!
//! These boards keep a coil as it was when their line breaks or the machine dies: the guard
//! can release nothing that it cannot reach. Where the board has Waveshare's flash function,
//! `flash` lets every pulse be bounded by the board itself: it is energised for
//! [`PULSE_MAX`] at most, and released at the pulse's end as always.
//!
//! Nothing here waits longer than [`EXCHANGE`] for one answer or [`SWITCH`] for one switching.

mod frame;
mod link;

use std::time::Duration;

use self::frame::{Fault, ILLEGAL_FUNCTION, Request};
use self::link::Link;
use super::{PortError, RelayPort};
use crate::barrier::PULSE_MAX;
use crate::protocol::Relay;
use crate::time::Monotonic;
use crate::wiring::{InputWiring, Level, ModbusBus};

/// The longest wait for one answer. At 4800 baud request and answer are 35 ms on the line, a
/// USB adapter adds some 30 ms, and boards answer within a few tens.
const EXCHANGE: Duration = Duration::from_millis(150);
/// The longest time that switching takes, asking back included. A pulse whose energising
/// fails is released in the same breath: both together stay below the 500 ms of silence after
/// which a pulse is cut off, and with one reading of the inputs below the 600 ms after which
/// the daemon gives a guard up that does not answer.
const SWITCH: Duration = Duration::from_millis(200);
/// The inputs are asked for at most this often, so that the line is free for a pulse.
const ASK: Duration = Duration::from_millis(20);
/// Inputs that were last read longer ago than this are not known. With one more vain
/// [`EXCHANGE`] that is still within the freshness of 500 ms.
const FRESH: Duration = Duration::from_millis(300);
/// What the board's flash function counts in.
const FLASH_UNIT: Duration = Duration::from_millis(100);

pub(super) struct ModbusBoard {
    port: String,
    link: Link,
    /// Counted from 0, as on the wire.
    relay: u16,
    flash: bool,
    /// Whether the board can be asked what a relay is.
    tells: bool,
    /// Each input, counted from 0, and whether it reads 1 while its contact is closed.
    inputs: Vec<(u16, bool)>,
    contacts: Vec<bool>,
    asked: Option<Monotonic>,
    known: Option<Monotonic>,
}

impl ModbusBoard {
    /// Opens the line and releases the relay. `channel` and the inputs count from 1.
    pub(super) fn open(
        bus: &ModbusBus,
        unit: u8,
        channel: u8,
        flash: bool,
        inputs: &[InputWiring],
    ) -> Result<Self, PortError> {
        let mut board = Self {
            port: format!("{bus} unit {unit} relay {channel}"),
            link: Link::open(bus, unit)?,
            relay: u16::from(channel.saturating_sub(1)),
            flash,
            tells: true,
            inputs: inputs
                .iter()
                .map(|input| {
                    let at = u16::try_from(input.pin.saturating_sub(1)).unwrap_or(u16::MAX);
                    (at, input.closed_reads == Level::High)
                })
                .collect(),
            contacts: Vec::new(),
            asked: None,
            known: None,
        };
        board.release_all()?;
        Ok(board)
    }

    fn failed(&self, what: &'static str, why: &Fault) -> PortError {
        PortError {
            port: self.port.clone(),
            what,
            why: why.to_string(),
            cure: match why {
                Fault::Refused(_) => {
                    "correct channel, the inputs' line and flash as the board's manual says"
                }
                Fault::OtherUnit(_) => "correct unit, and give each board on the line its own",
                Fault::Damaged | Fault::Foreign | Fault::Short(_) => {
                    "check baud, the line's two wires and its termination, and turn the \
                     adapter's local echo off; a board on the network must speak Modbus TCP, \
                     not RTU over TCP"
                }
                Fault::Silent | Fault::Stray | Fault::Closed | Fault::System(_) => {
                    "check the board's supply, its wires, and unit, port, baud or host; a \
                     board that comes back is opened anew by itself"
                }
            },
        }
    }

    /// Asks whether the relay is what it was told to be.
    fn confirm(&mut self, energised: bool, until: Monotonic) -> Result<(), PortError> {
        let request = Request::Relays { last: self.relay };
        match self.link.exchange(request, until) {
            Ok(relays) if relays.get(usize::from(self.relay)) == Some(&energised) => Ok(()),
            Ok(_) => Err(PortError {
                port: self.port.clone(),
                what: if energised { "energising" } else { "releasing" },
                why: "the board took the order and says that the relay is not so".to_owned(),
                cure: "switch off what else drives this relay: another master, or a mode in \
                       which the board's inputs work its relays",
            }),
            Err(Fault::Refused(ILLEGAL_FUNCTION)) => {
                self.tells = false;
                Ok(())
            }
            Err(why) => Err(self.failed("asking what the relay is", &why)),
        }
    }
}

impl RelayPort for ModbusBoard {
    fn set(&mut self, relay: Relay, energised: bool) -> Result<(), PortError> {
        let Relay::Open = relay;
        let now = Monotonic::read();
        let flashing = energised && self.flash;
        let request = if flashing {
            Request::Flash {
                relay: self.relay,
                tenths: (PULSE_MAX.as_millis() / FLASH_UNIT.as_millis()) as u16,
            }
        } else {
            Request::Switch {
                relay: self.relay,
                energised,
            }
        };
        let what = if energised { "energising" } else { "releasing" };
        self.link
            .exchange(request, now + EXCHANGE)
            .map_err(|why| self.failed(what, &why))?;
        // Whether a coil that flashes reads as energised is in no manual.
        if self.tells && !flashing {
            self.confirm(energised, now + SWITCH)?;
        }
        Ok(())
    }

    fn read_contacts(&mut self) -> Result<Vec<bool>, PortError> {
        let Some(last) = self.inputs.iter().map(|(at, _)| *at).max() else {
            return Ok(Vec::new());
        };
        let now = Monotonic::read();
        if self.asked.is_some_and(|at| now.since(at) < ASK) {
            return Ok(self.contacts.clone());
        }
        let answer = self.link.exchange(Request::Inputs { last }, now + EXCHANGE);
        let after = Monotonic::read();
        self.asked = Some(after);
        match answer {
            Ok(levels) => {
                self.known = Some(after);
                self.contacts = self
                    .inputs
                    .iter()
                    .map(|(at, closed)| levels.get(usize::from(*at)) == Some(closed))
                    .collect();
            }
            // One frame that noise has damaged is no reason to break a pulse off.
            Err(_) if self.known.is_some_and(|at| after.since(at) < FRESH) => {}
            Err(why) => {
                self.asked = None;
                return Err(self.failed("reading the inputs", &why));
            }
        }
        Ok(self.contacts.clone())
    }
}
