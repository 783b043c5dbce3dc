//! A Raspberry Pi 4 or 5 header through rppal.
//!
//! rppal writes the inactive level before it makes the pin an output. Pins are left as they
//! are when the process ends orderly (an output at its inactive level): resetting them to
//! inputs would let a floating wire decide.

use rppal::gpio::{Bias, Gpio, InputPin, OutputPin};

use super::{PortError, RelayPort};
use crate::protocol::Relay;
use crate::wiring::{InputWiring, Level, Pull};

pub(super) struct RpiPort {
    relay: OutputPin,
    active_low: bool,
    contacts: Vec<(InputPin, Level)>,
}

impl RpiPort {
    pub(super) fn open(
        line: u8,
        active_low: bool,
        inputs: &[InputWiring],
    ) -> Result<Self, PortError> {
        let failed = |what, pin: u32, why: &rppal::gpio::Error| PortError {
            port: format!("Raspberry Pi pin BCM {pin}"),
            what,
            why: why.to_string(),
            cure: "run on a Raspberry Pi, as a user of group gpio, and let nothing else use the \
                   pin; elsewhere use driver \"gpiochip\"",
        };
        let gpio = Gpio::new().map_err(|why| failed("opening", u32::from(line), &why))?;
        let pin = gpio
            .get(line)
            .map_err(|why| failed("taking", u32::from(line), &why))?;
        let mut relay = if active_low {
            pin.into_output_high()
        } else {
            pin.into_output_low()
        };
        relay.set_reset_on_drop(false);
        let mut contacts = Vec::with_capacity(inputs.len());
        for input in inputs {
            let pin = u8::try_from(input.pin).unwrap_or(u8::MAX);
            let pin = gpio
                .get(pin)
                .map_err(|why| failed("taking", input.pin, &why))?;
            let mut contact = pin.into_input();
            contact.set_bias(match input.pull {
                Pull::Up => Bias::PullUp,
                Pull::Down => Bias::PullDown,
                Pull::None => Bias::Off,
            });
            contacts.push((contact, input.closed_reads));
        }
        Ok(Self {
            relay,
            active_low,
            contacts,
        })
    }
}

impl RelayPort for RpiPort {
    fn set(&mut self, relay: Relay, energised: bool) -> Result<(), PortError> {
        match relay {
            Relay::Open if energised == self.active_low => self.relay.set_low(),
            Relay::Open => self.relay.set_high(),
        }
        Ok(())
    }

    fn read_contacts(&mut self) -> Result<Vec<bool>, PortError> {
        Ok(self
            .contacts
            .iter()
            .map(|(pin, closed_reads)| pin.is_high() == (*closed_reads == Level::High))
            .collect())
    }
}
