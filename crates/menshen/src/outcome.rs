//! Exit statuses, the same for every verb, and how a failure is said.

use std::fmt::Display;

/// Done.
pub(crate) const DONE: u8 = 0;
/// The work found something wrong.
pub(crate) const FOUND_WRONG: u8 = 1;
/// Wrong usage or configuration.
pub(crate) const WRONG_USAGE: u8 = 2;

/// Says on standard error what went wrong and gives the status back.
pub(crate) fn fail(status: u8, what: impl Display) -> u8 {
    eprintln!("menshen: {what}");
    status
}
