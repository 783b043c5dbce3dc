//! The whole house with real parts; a file a theme.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod broker;
mod cameras;
mod commands;
mod crashes;
mod doctor;
mod metrics;
mod orders;
mod passes;
mod replay;
mod road;
mod sync;
mod tls;
