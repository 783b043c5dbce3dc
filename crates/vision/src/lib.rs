//! Frames to sightings.
//!
//! ```text
//! source ──► detector ──► rectifier ──► reader ──► tracker ──► (to the lane)
//! frames     quads        plates        readings   vehicles and their sightings
//! ```
//!
//! - [`source`]: cameras of every sort behind one trait; the latest frame wins.
//! - [`models`]: the ONNX files, their manifests, and the only code that speaks to tract.
//! - [`recognise`]: one frame to readings: detect, find the exact corners, rectify, read.
//! - [`tracker`]: readings of one vehicle over frames, as a pure state machine.
//! - [`codes`]: QR codes that somebody holds up, beside that road.
//! - [`picture`]: picture files to frames, with limits that a hostile file cannot pass.
//!
//! Invariant: nothing here knows the registry or a pin. Invariant: only [`models`] names tract.

pub mod codes;
pub mod frame;
pub mod models;
pub mod picture;
pub mod recognise;
mod slot;
pub mod source;
pub mod tracker;

pub use frame::Frame;
