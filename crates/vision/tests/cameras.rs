//! Cameras of every sort against real parts: an RTSP server, `ffmpeg`, web servers of a few
//! lines, and doubles for the cameras that cannot be plugged in here.
//!
//! Where `ffmpeg` or GStreamer's RTSP server is missing, the tests that need it say so loudly
//! and pass, unless `CI` is set: there, missing parts fail.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "cameras/doubles.rs"]
mod doubles;
#[path = "cameras/files.rs"]
mod files;
#[path = "cameras/http.rs"]
mod http;
#[path = "cameras/parts.rs"]
mod parts;
#[path = "cameras/rtsp.rs"]
mod rtsp;
