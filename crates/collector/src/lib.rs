//! The committee's end.
