//! The `tidegate` program as its users run it.
#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod config;
mod control;
mod inspect;
mod mistakes;
#[path = "../common/programs.rs"]
mod programs;
mod run;
mod tool;
