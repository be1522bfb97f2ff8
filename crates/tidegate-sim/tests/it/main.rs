//! The simulation itself, and what the coordinator makes of a crash at every operation.
#![expect(clippy::unwrap_used, reason = "all of it is test code")]

mod crash;
mod simulation;
