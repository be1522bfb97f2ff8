//! Externalized checkpoints for Rust stream processing.
//!
//! Tidegate runs stateful streaming jobs on one machine and takes consistent checkpoints of all
//! their state and stream positions while they run. A job that was killed at any instant resumes
//! from a checkpoint's metadata path, and its output is that of a run that never failed.
//!
//! **It is not** a cluster scheduler or a SQL engine. This crate only gathers the layers' common
//! names; each layer (`tidegate-align`, `tidegate-state`, `tidegate-meta`, …) can be used alone.
//!
//! ```no_run
//! use tidegate::{FileSink, FileSource, ProcessContext};
//!
//! fn main() -> std::process::ExitCode {
//!     tidegate::run("wordcount", |job| {
//!         job.source("lines", FileSource::lines("input"))
//!             .stream()
//!             .flat_map(|line: String, words| {
//!                 line.split_whitespace().for_each(|word| words.emit(word.to_lowercase()));
//!             })
//!             .key_by(|word: &String| word.clone())
//!             .process("count", |states| {
//!                 let count = states.value::<u64>("count")?;
//!                 Ok(move |word: &String, _, out: &mut ProcessContext<'_, _, _>| {
//!                     let seen = count.get()?.unwrap_or(0) + 1;
//!                     count.put(seen)?;
//!                     out.emit(format!("{word},{seen}"));
//!                     Ok(())
//!                 })
//!             })
//!             .sink("output", FileSink::new("output"));
//!         Ok(())
//!     })
//! }
//! ```
#![forbid(unsafe_code)]

pub use rkyv;
pub use tidegate_connect::{
    ConnectError, CsvRecord, FileSink, FileSource, Generator, SinkFactory, SplitReader,
    SplitSource, TwoPhaseSink,
};
pub use tidegate_runtime::{
    Data, Emitter, ExitStatus, Job, JobError, KeyedProcess, KeyedStream, ProcessContext,
    SourceBuilder, StateSetup, Stream, TaskError, Timer, UserError, run_with_stores,
};
pub use tidegate_state::{
    AggregateFunction, AggregatingState, AggregatingStateDescriptor, KeyedState, ListState,
    ListStateDescriptor, MapState, MapStateDescriptor, ReducingState, ReducingStateDescriptor,
    StateError, StateTtlConfig, StateValue, StateVisibility, UpdateType, ValueRef, ValueState,
    ValueStateDescriptor,
};
pub use tidegate_store::StorageFactory;
pub use tidegate_types::{Parallelism, StateKey};

/// Runs a job from the `main` function of its program and gives the exit status to return.
///
/// `build` makes the job's graph. Configuration comes from `tidegate.yaml`, and from `tidegate run`
/// if it started the program; alone, the program behaves the same. SIGINT cancels the job, SIGTERM
/// suspends it (its checkpoints are kept). Failures are told on standard error.
///
/// Checkpoints and savepoints go to the local file system and to the [`stores`] that this crate is
/// built with. [`run_with_stores`] takes others.
pub fn run(
    name: &str,
    build: impl FnOnce(&Job) -> Result<(), UserError>,
) -> std::process::ExitCode {
    run_with_stores(name, stores(), build)
}

/// The stores of the features that this crate is built with: `hdfs`, `s3`, `gcs`, `azure`.
pub fn stores() -> Vec<std::sync::Arc<dyn StorageFactory>> {
    vec![
        #[cfg(feature = "hdfs")]
        std::sync::Arc::new(tidegate_store_hdfs::HdfsFactory::default()),
        #[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
        std::sync::Arc::new(tidegate_store_object::ObjectFactory::default()),
    ]
}

/// Compiles the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
