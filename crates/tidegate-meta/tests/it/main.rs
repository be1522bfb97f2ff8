//! The metadata format: what is written, what is refused, and that neither ever changes.
#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "the numbers are small"
)]

mod damage;
mod golden;
mod properties;
mod sample;
mod values;
