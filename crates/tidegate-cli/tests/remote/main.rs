//! Jobs and commands on real servers: HDFS, S3, Azure.
//!
//! `cargo xtask servers start` brings the servers up and tells where they are in the environment; a
//! test whose server is not there says that it is skipped, and fails where servers are required.
#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod commands;
mod faults;
#[path = "../kill/input.rs"]
mod input;
#[path = "../kill/job.rs"]
mod job;
mod kill;
#[path = "../kill/output.rs"]
mod output;
mod place;
#[path = "../common/programs.rs"]
mod programs;
#[path = "../kill/seeds.rs"]
mod seeds;
