//! Lists as committees keep them: every planted fault found, every format read, nothing that is
//! no list taken, and nothing stored before it was accepted.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod fixture;
mod formats;
mod hostile;
