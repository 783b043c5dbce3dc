//! Lines of a Linux GPIO character device.
//!
//! The relay's line is requested as an output together with its inactive value, so there is
//! no moment in which the kernel drives it otherwise.

use std::path::Path;

use gpiocdev::Request;
use gpiocdev::line::{Bias, Value, Values};

use super::{PortError, RelayPort};
use crate::protocol::Relay;
use crate::wiring::{InputWiring, Level, Pull};

const CONSUMER: &str = "menshen";

pub(super) struct GpiochipPort {
    port: String,
    line: u32,
    relay: Request,
    contacts: Option<Request>,
    inputs: Vec<(u32, Level)>,
}

fn failed(port: &str, what: &'static str, why: &gpiocdev::Error) -> PortError {
    PortError {
        port: port.to_owned(),
        what,
        why: why.to_string(),
        cure: "check chip and line with gpioinfo, let nothing else hold the line, and run as a \
               user who may open the device",
    }
}

impl GpiochipPort {
    pub(super) fn open(
        chip: &Path,
        line: u32,
        active_low: bool,
        inputs: &[InputWiring],
    ) -> Result<Self, PortError> {
        let port = format!("{} line {line}", chip.display());
        let mut request = Request::builder();
        request
            .on_chip(chip)
            .with_consumer(CONSUMER)
            .with_line(line)
            .as_output(Value::Inactive);
        if active_low {
            request.as_active_low();
        }
        let relay = request
            .request()
            .map_err(|why| failed(&port, "requesting", &why))?;
        let contacts = if inputs.is_empty() {
            None
        } else {
            let mut request = Request::builder();
            request.on_chip(chip).with_consumer(CONSUMER);
            for input in inputs {
                request
                    .with_line(input.pin)
                    .as_input()
                    .with_bias(match input.pull {
                        Pull::Up => Bias::PullUp,
                        Pull::Down => Bias::PullDown,
                        Pull::None => Bias::Disabled,
                    });
            }
            let contacts = request
                .request()
                .map_err(|why| failed(&port, "requesting the inputs of the chip", &why))?;
            Some(contacts)
        };
        Ok(Self {
            port,
            line,
            relay,
            contacts,
            inputs: inputs
                .iter()
                .map(|input| (input.pin, input.closed_reads))
                .collect(),
        })
    }
}

impl RelayPort for GpiochipPort {
    fn set(&mut self, relay: Relay, energised: bool) -> Result<(), PortError> {
        let Relay::Open = relay;
        let value = if energised {
            Value::Active
        } else {
            Value::Inactive
        };
        self.relay
            .set_value(self.line, value)
            .map_err(|why| failed(&self.port, "writing", &why))
    }

    fn read_contacts(&mut self) -> Result<Vec<bool>, PortError> {
        let Some(contacts) = &self.contacts else {
            return Ok(Vec::new());
        };
        let mut values = Values::default();
        contacts
            .values(&mut values)
            .map_err(|why| failed(&self.port, "reading the inputs", &why))?;
        Ok(self
            .inputs
            .iter()
            .map(|(pin, closed_reads)| {
                let high = values.get(*pin) == Some(Value::Active);
                high == (*closed_reads == Level::High)
            })
            .collect())
    }
}
