//! Tests of the backend through its public face.
#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod conversions;
mod errors;
mod leaks;
mod rescaling;
mod suite;
mod world;
