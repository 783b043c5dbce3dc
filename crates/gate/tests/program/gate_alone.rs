//! One barrier as a program of its own, for the tests with real processes.
//!
//! `gate-alone relay-guard` is the relay guard. `gate-alone barrier WIRING PULSE_MS` runs a
//! barrier with that wiring (JSON), opens it for each cause read from standard input, and
//! prints every event as a line of JSON.

use std::error::Error;
use std::io::BufRead;
use std::sync::mpsc::channel;
use std::time::Duration;

use gate::CauseId;
use gate::barrier::{Origin, PulseProfile};
use gate::driver::{BarrierConfig, BarrierThread, GuardProgram};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("relay-guard") => {
            gate::relay_guard::run(std::io::stdin(), std::io::stdout())?;
            Ok(())
        }
        Some("barrier") if args.len() == 4 => barrier(&args[2], args[3].parse()?),
        _ => Err("usage: gate-alone relay-guard | barrier WIRING PULSE_MS".into()),
    }
}

fn barrier(wiring: &str, pulse_ms: u64) -> Result<(), Box<dyn Error>> {
    let (events, told) = channel();
    let handle = BarrierThread::start(
        BarrierConfig {
            name: "alone".to_owned(),
            profile: PulseProfile {
                pulse: Duration::from_millis(pulse_ms),
                repeat_gap: Duration::from_millis(300),
                ..PulseProfile::default()
            },
            wiring: serde_json::from_str(wiring)?,
            guard: GuardProgram {
                exe: std::env::current_exe()?,
                args: vec!["relay-guard".into()],
            },
        },
        events,
    )?;
    std::thread::spawn(move || {
        for event in told {
            if let Ok(line) = serde_json::to_string(&event) {
                println!("{line}");
            }
        }
    });
    for cause in std::io::stdin().lock().lines() {
        handle.open(CauseId::new(cause?)?, Origin::Automatic)?;
    }
    handle.shutdown();
    Ok(())
}
