//! A port without hardware, for the demo, tests and trying a configuration.
//!
//! Edges are appended to the trace file as `NANOSECONDS open on|off`, stamped with the
//! monotonic clock; opening writes `off` first, like real hardware. Input levels are read at
//! every poll from the inputs file, which survives the relay guard. Its lines are
//! `NAME 1|0|cut`, for example `guard_button 1` or `arrival_loop:entry 0`; `1` means active
//! whatever the contact's rest position, `cut` means a broken wire. A line that is missing
//! or not understood is at rest, and so is everything while there is no file. Replace the
//! file in one step, as [`write_inputs`] does, rather than writing into it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{PortError, RelayPort};
use crate::line::Line;
use crate::protocol::Relay;
use crate::time::Monotonic;
use crate::wiring::InputWiring;

/// The simulated port. See the [module](self).
#[derive(Debug)]
pub struct SimulatedPort {
    trace: Option<(PathBuf, File)>,
    energised: Option<bool>,
    levels: Option<PathBuf>,
    inputs: Vec<(String, bool)>,
}

fn trace_error(path: &Path, what: &'static str, why: &io::Error) -> PortError {
    PortError {
        port: format!("simulated, trace {}", path.display()),
        what,
        why: why.to_string(),
        cure: "give `trace` a path in a folder that may be written, or remove it",
    }
}

impl SimulatedPort {
    /// Opens the trace for appending and notes the release.
    ///
    /// # Errors
    /// [`PortError`] when the trace cannot be written.
    pub fn open(
        trace: Option<&Path>,
        levels: Option<&Path>,
        inputs: &[InputWiring],
    ) -> Result<Self, PortError> {
        let trace = match trace {
            None => None,
            Some(path) => {
                let file = OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(path)
                    .map_err(|why| trace_error(path, "opening", &why))?;
                Some((path.to_owned(), file))
            }
        };
        let mut port = Self {
            trace,
            energised: None,
            levels: levels.map(Path::to_owned),
            inputs: inputs
                .iter()
                .map(|input| (input.line.to_string(), input.normally_closed))
                .collect(),
        };
        port.release_all()?;
        Ok(port)
    }
}

impl RelayPort for SimulatedPort {
    fn set(&mut self, relay: Relay, energised: bool) -> Result<(), PortError> {
        let Relay::Open = relay;
        if self.energised != Some(energised)
            && let Some((path, file)) = &mut self.trace
        {
            let state = if energised { "on" } else { "off" };
            let edge = format!("{} open {state}\n", Monotonic::read().nanos());
            file.write_all(edge.as_bytes())
                .map_err(|why| trace_error(path, "writing", &why))?;
        }
        self.energised = Some(energised);
        Ok(())
    }

    fn read_contacts(&mut self) -> Result<Vec<bool>, PortError> {
        let text = match &self.levels {
            Some(path) => std::fs::read_to_string(path).unwrap_or_default(),
            None => String::new(),
        };
        Ok(self
            .inputs
            .iter()
            .map(|(name, normally_closed)| {
                let state = text
                    .lines()
                    .filter_map(|line| line.split_once(' '))
                    .filter(|(line, _)| line == name)
                    .map(|(_, state)| state.trim())
                    .next_back();
                match state {
                    Some("cut") => false,
                    Some("1") => !normally_closed,
                    _ => *normally_closed,
                }
            })
            .collect())
    }
}

/// Replaces the inputs file in one step: the named lines have these levels, all others rest.
///
/// # Errors
/// When the file beside `path`, or `path`, cannot be written.
pub fn write_inputs(path: &Path, levels: &[(Line, bool)]) -> io::Result<()> {
    let lines: Vec<String> = levels
        .iter()
        .map(|(line, active)| format!("{line} {}", u8::from(*active)))
        .collect();
    let fresh = path.with_extension("fresh");
    std::fs::write(&fresh, lines.join("\n"))?;
    std::fs::rename(&fresh, path)
}
