//! Releasing every relay from outside, after the daemon and its relay guard are gone.

use std::thread::sleep;
use std::time::Duration;

use crate::relay::{self, PortError};
use crate::time::Monotonic;
use crate::wiring::Wiring;

/// A port that is still held by an ending relay guard is waited for this long.
const PATIENCE: Duration = Duration::from_millis(800);
const RETRY: Duration = Duration::from_millis(25);

/// Releases the relay of `wiring`, within a second, as often as one likes. For systemd's
/// `ExecStopPost`, which runs after the relay guard too has ended.
///
/// # Errors
/// [`PortError`] when the port cannot be opened or written, after trying for 800 ms. While a
/// relay guard is alive it holds the port, and releases it itself when its daemon has gone.
pub fn safe_off(wiring: &Wiring) -> Result<(), PortError> {
    let wiring = wiring.relay_only();
    let began = Monotonic::read();
    loop {
        match relay::open(&wiring).and_then(|mut port| port.release_all()) {
            Err(_) if Monotonic::read().since(began) < PATIENCE => sleep(RETRY),
            done => return done,
        }
    }
}
