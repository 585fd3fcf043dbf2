//! The integration tests, one crate. A line for each file.

#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::format_push_string,
    unreachable_pub,
    reason = "a test that fails may panic, and nothing here is anyone's interface"
)]

mod synthetic;

mod image;
mod layer;
mod layout;
mod output;
mod verify;
