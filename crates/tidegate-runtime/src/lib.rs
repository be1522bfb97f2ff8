//! The embedded runtime: jobs as threads on one machine, with exactly-once checkpoints.
//!
//! A [`Job`] is a graph of sources, operators and sinks. [`run`] runs it from a program's `main`:
//! it reads the configuration, takes up a checkpoint if one is given, starts a thread for each
//! subtask and lets the coordinator take checkpoints until the input ends or the job is stopped.
//!
//! **It is not** a cluster: all subtasks live in one process. It decides nothing about checkpoints
//! itself; that is `tidegate-coordinator`'s, and alignment is `tidegate-align`'s.
//!
//! ```no_run
//! use tidegate_connect::Generator;
//!
//! fn main() -> std::process::ExitCode {
//!     tidegate_runtime::run("squares", |job| {
//!         let numbers = job.source("numbers", Generator::new(10, |n| n)).stream();
//!         numbers.map(|n| n * n).print();
//!         Ok(())
//!     })
//! }
//! ```
#![forbid(unsafe_code)]

mod attempt;
mod beginning;
mod cancel;
mod claimed;
pub mod config;
pub mod control;
mod driver;
mod error;
mod exchange;
pub mod exit_status;
mod graph;
mod in_flight;
mod job_run;
mod keyed;
mod launch;
mod lists;
mod operators;
mod place;
mod process;
mod push;
mod random;
mod record;
mod report;
pub mod restart;
mod restore_progress;
pub mod run_options;
mod savepoints;
mod sink;
mod snapshot;
mod status;
mod storage_thread;
mod task;

pub use error::{JobError, TaskError, UserError};
pub use exit_status::ExitStatus;
pub use graph::{Job, KeyedStream, SourceBuilder, Stream};
pub use keyed::{KeyedProcess, ProcessContext, StateSetup, Timer};
pub use launch::{run, run_with_stores};
pub use operators::Emitter;
pub use record::Data;
