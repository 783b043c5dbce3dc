//! The gate lane of the demo: a minute of it, played and painted.
//!
//! [`Script`] says who comes (made from a seed); [`Street`] is the world that plays it, a pure
//! state machine in virtual time whose cars watch the boom; [`View`] is what there is to be
//! seen at one moment; [`Painter`] turns a view into the camera's picture.

mod backdrop;
mod paint;
mod script;
mod space;
mod vehicle;
mod world;

pub use paint::Painter;
pub use script::{Body, Light, Role, Script, Vehicle};
pub use world::{Event, Street, View, VisibleCar};

/// Width of a frame in pixels.
pub const WIDTH: u32 = 1280;
/// Height of a frame in pixels.
pub const HEIGHT: u32 = 720;
