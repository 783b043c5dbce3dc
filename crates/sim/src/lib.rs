//! A simulated gate: what a camera would see, what the loops would feel, how the boom moves.
//!
//! ```text
//! script ──► street ──► view ──► painter ──► picture        (what the camera sees)
//!  (seed)     │  ▲
//!             │  └── how far the boom is open ◄── boom ◄── OPEN pulses
//!             └────► events: loops, vehicles come and gone
//! ```
//!
//! - [`plate`]: flat pictures of number plates.
//! - [`street`]: the script (who comes, when, in which light), the little world that plays it,
//!   and the painter of its pictures.
//! - [`boom`]: a barrier with a controller of its own, as the `pulse` wiring expects it.
//! - [`picture`]: pictures in memory and as files.
//! - [`compound`]: a whole compound under a virtual clock, with everything that can fail, around
//!   the real cores of `gate`, `access` and `bridge`.
//! - `broker` (feature `broker`): an MQTT broker inside the process, for the demo and for
//!   tests.
//!
//! Invariant: but for the broker nothing here reads a clock, a file or a socket (saving a
//! picture excepted); the same seed and the same steps give the same bytes.

#![allow(
    clippy::many_single_char_names,
    reason = "geometry: x, y, z, w, h are its own names"
)]

pub mod boom;
#[cfg(feature = "broker")]
pub mod broker;
mod canvas;
pub mod compound;
pub mod picture;
pub mod plate;
pub mod street;
mod warp;
