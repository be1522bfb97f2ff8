//! Real jobs in real processes, ended in every way there is: what becomes of their checkpoints, who
//! may write to a directory, and what is done about a program that crashes.
#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod fencing;
mod job;
mod supervision;
mod truth_table;
