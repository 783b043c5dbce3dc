//! The ports that hold relays and inputs: one trait, an adapter for each kind of hardware.
//!
//! [`open`] opens the adapter that a wiring names, with every relay inactive from the first
//! moment. Only the relay guard and `safe-off` do that; the daemon never does.

mod gpiochip;
mod isapi;
mod modbus;
mod rpi;
mod serial_board;
pub mod simulated;
mod tty;

use crate::protocol::Relay;
use crate::wiring::{RelayWiring, Wiring};

pub use isapi::Password;

/// A port that could not be opened, written or read.
#[derive(Debug, thiserror::Error)]
#[error("relay port {port}: {what} failed: {why}; {cure}")]
pub struct PortError {
    /// Which port, as configured.
    pub port: String,
    /// What was tried.
    pub what: &'static str,
    /// The system's words.
    pub why: String,
    /// What to do about it.
    pub cure: &'static str,
}

/// Relays and inputs behind one port.
pub trait RelayPort: Send {
    /// Energises or releases one relay. Returns once the port has taken the write.
    ///
    /// # Errors
    /// [`PortError`] when it has not; the relay is then in no known state.
    fn set(&mut self, relay: Relay, energised: bool) -> Result<(), PortError>;

    /// Releases every relay of the wiring.
    ///
    /// # Errors
    /// [`PortError`] as for [`RelayPort::set`].
    fn release_all(&mut self) -> Result<(), PortError> {
        self.set(Relay::Open, false)
    }

    /// Whether each wired contact is closed, in the order of [`Wiring::inputs`].
    ///
    /// # Errors
    /// [`PortError`] when the port cannot be read.
    fn read_contacts(&mut self) -> Result<Vec<bool>, PortError>;
}

/// Opens the port of `wiring` with every relay inactive. A camera's relay holds no level and
/// needs no release; it is not spoken to before the first opening.
///
/// # Errors
/// [`PortError`] when the device is missing, not permitted, held by somebody else or does not
/// take the first write.
pub fn open(wiring: &Wiring) -> Result<Box<dyn RelayPort>, PortError> {
    Ok(match wiring.relay() {
        RelayWiring::Simulated { trace, inputs } => Box::new(simulated::SimulatedPort::open(
            trace.as_deref(),
            inputs.as_deref(),
            wiring.inputs(),
        )?),
        RelayWiring::Rppal { line, active_low } => {
            Box::new(rpi::RpiPort::open(*line, *active_low, wiring.inputs())?)
        }
        RelayWiring::Gpiochip {
            chip,
            line,
            active_low,
        } => Box::new(gpiochip::GpiochipPort::open(
            chip,
            *line,
            *active_low,
            wiring.inputs(),
        )?),
        RelayWiring::Serial { port, channel } => {
            Box::new(serial_board::SerialBoard::open(port, *channel)?)
        }
        RelayWiring::Modbus {
            bus,
            unit,
            channel,
            flash,
        } => Box::new(modbus::ModbusBoard::open(
            bus,
            *unit,
            *channel,
            *flash,
            wiring.inputs(),
        )?),
        RelayWiring::Isapi {
            address,
            channel,
            user,
            password_file,
        } => Box::new(isapi::IsapiCamera::open(
            *address,
            *channel,
            user,
            password_file,
        )?),
    })
}
