//! Whole jobs in this process: checkpoints after some sources have ended, and what is told of
//! checkpoints that overtake records.

mod far;
mod remote;

use std::collections::BTreeMap;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::Path;
use std::time::Duration;

use crossbeam::channel::{Sender, unbounded};
use tidegate_connect::{FileSink, Generator};
use tidegate_coordinator::CheckpointStatus;
use tidegate_meta::MetadataView;

use super::*;
use crate::keyed::ProcessContext;

fn config(directory: &Path) -> JobConfig {
    JobConfig {
        checkpoints_dir: Some(format!("file://{}/checkpoints", directory.display())),
        interval: Some(Duration::from_millis(20)),
        retention: tidegate_coordinator::ExternalizedCheckpointCleanup::RetainOnCancellation,
        ..JobConfig::default()
    }
}

/// A source of `count` numbers, a line for each of them and how often it was seen.
fn counted(job: &Job, name: &str, count: u64, rate: u64, delay: Duration, output: &Path) {
    job.source(&format!("{name}-source"), Generator::new(count, |n| n))
        .rate_limit(NonZeroU64::new(rate))
        .stream()
        .key_by(|n: &u64| *n)
        .process(&format!("{name}-count"), move |states| {
            let seen = states.value::<u64>("seen")?;
            Ok(move |key: &u64, _: u64, out: &mut ProcessContext<'_, _, _>| {
                std::thread::sleep(delay);
                let times = seen.get()?.unwrap_or(0) + 1;
                seen.put(times)?;
                out.emit(format!("{key} {times}"));
                Ok(())
            })
        })
        .sink(&format!("{name}-sink"), FileSink::new(output.join(name)));
}

fn start(job: Job, config: &JobConfig, restore: Option<String>) -> (JobRun, Sender<Stop>) {
    let options = RunOptions { restore_path: restore, ..RunOptions::default() };
    let (stop, stops) = unbounded();
    let status = Arc::new(StatusBoard::new(Instant::now()));
    let registry = StorageRegistry::local();
    let settings = RunSettings { config, registry: &registry, options: &options };
    let run = JobRun::prepare("test", job, &settings, stops, status).unwrap();
    (run, stop)
}

/// Runs until some checkpoint of this run is as wished, then suspends the job.
fn run_until(
    mut run: JobRun,
    stop: &Sender<Stop>,
    wished: fn(&CheckpointMetadata) -> bool,
) -> JobRun {
    // The store of a test over a network has the path as its last part, too.
    let directory = run.checkpoint_uri().split_once("://").unwrap().1.to_owned();
    let earlier = newest(Path::new(&directory)).map(|metadata| metadata.checkpoint);
    let found =
        |metadata: CheckpointMetadata| Some(metadata.checkpoint) > earlier && wished(&metadata);
    let result = std::thread::scope(|scope| {
        let job = scope.spawn(|| run.execute());
        let deadline = Instant::now() + Duration::from_secs(60);
        while !newest(Path::new(&directory)).is_some_and(&found) {
            assert!(Instant::now() < deadline, "no such checkpoint");
            if job.is_finished() {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        stop.send(Stop::Suspend).unwrap();
        job.join().unwrap()
    });
    assert_eq!(result.unwrap(), JobStatus::Suspended);
    run
}

fn newest(job: &Path) -> Option<CheckpointMetadata> {
    let checkpoints = std::fs::read_dir(job).ok()?.filter_map(Result::ok);
    // One may be deleted while we look at it.
    let read = checkpoints.filter_map(|entry| std::fs::read(entry.path().join("_metadata")).ok());
    read.filter_map(|bytes| Some(MetadataView::open(&bytes).ok()?.to_metadata()))
        .max_by_key(|metadata| metadata.checkpoint)
}

fn subtasks<'a>(
    metadata: &'a CheckpointMetadata,
    uid: &str,
) -> Vec<&'a tidegate_types::SubtaskState> {
    let operator = metadata.operators.iter().find(|operator| operator.uid.as_str() == uid);
    operator.into_iter().flat_map(|operator| operator.subtasks.iter().map(|(_, s)| s)).collect()
}

fn committed(directory: &Path) -> BTreeMap<String, usize> {
    let mut lines = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if !entry.file_name().to_string_lossy().starts_with('.') {
            for line in std::fs::read_to_string(entry.path()).unwrap().lines() {
                *lines.entry(line.to_owned()).or_default() += 1;
            }
        }
    }
    lines
}

#[test]
fn checkpoints_go_on_after_a_source_has_ended_and_it_is_not_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let job = || {
        let job = Job::new();
        counted(&job, "few", 200, 20_000, Duration::ZERO, directory.path());
        counted(&job, "many", u64::MAX, 2_000, Duration::ZERO, directory.path());
        job
    };
    // The end of the one is in the checkpoints, together with the way of the other.
    let ended: fn(&CheckpointMetadata) -> bool = |metadata| {
        let finished = |uid| subtasks(metadata, uid).iter().all(|state| state.finished);
        finished("few-source") && !finished("many-source")
    };
    let (run, stop) = start(job(), &config, None);
    let run = run_until(run, &stop, ended);
    let first = newest(Path::new(run.checkpoint_uri().strip_prefix("file://").unwrap())).unwrap();
    let uri = run.checkpoint_uri();
    drop(run);
    for _ in 0..2 {
        let (run, stop) = start(job(), &config, Some(uri.clone()));
        let run = run_until(run, &stop, ended);
        drop(run);
    }
    let last = newest(Path::new(uri.strip_prefix("file://").unwrap())).unwrap();
    assert!(ended(&last) && last.checkpoint > first.checkpoint);
    let expected: BTreeMap<_, _> = (0..200).map(|n| (format!("{n} 1"), 1)).collect();
    assert_eq!(committed(&directory.path().join("few")), expected, "each once, none again");
}

#[test]
fn a_source_that_is_new_to_the_job_is_read_from_its_beginning() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let job = |more: bool| {
        let job = Job::new();
        counted(&job, "many", u64::MAX, 2_000, Duration::ZERO, directory.path());
        if more {
            counted(&job, "few", 20, 20_000, Duration::ZERO, directory.path());
        }
        job
    };
    let (run, stop) = start(job(false), &config, None);
    let run = run_until(run, &stop, |_| true);
    let uri = run.checkpoint_uri();
    drop(run);
    let (run, stop) = start(job(true), &config, Some(uri));
    run_until(run, &stop, |metadata| {
        let few = subtasks(metadata, "few-source");
        !few.is_empty() && few.iter().all(|state| state.finished)
    });
    // The sink's tail is committed with the checkpoint after; no line is there twice.
    let lines = committed(&directory.path().join("few"));
    assert!(lines.values().all(|times| *times == 1), "{lines:?}");
}

#[test]
fn records_in_flight_come_back_and_the_statistics_tell_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.unaligned = true;
    config.parallelism = Parallelism::new(2).unwrap();
    let job = || {
        let job = Job::new();
        counted(&job, "slow", 20_000, 0, Duration::from_micros(50), directory.path());
        job
    };
    let in_flight = |metadata: &CheckpointMetadata| {
        let states = subtasks(metadata, "slow-count");
        states.iter().any(|state| !state.channels.is_empty())
    };
    let (run, stop) = start(job(), &config, None);
    let run = run_until(run, &stop, in_flight);
    let statistics = run.driver.coordinator.statistics();
    let complete = |status: &CheckpointStatus| matches!(status, CheckpointStatus::Completed { .. });
    let complete = statistics.history().filter(|entry| complete(&entry.status));
    let overtaken = complete.filter(|entry| entry.slowest.persisted_in_alignment > 0);
    let overtaken: Vec<_> = overtaken.collect();
    let entry = overtaken.first().expect("one has records in flight");
    assert_eq!((entry.subtasks.len(), entry.acknowledged), (4, 4), "two tasks of two subtasks");
    let sum = |of: fn(&tidegate_coordinator::SubtaskStats) -> u64| {
        entry.subtasks.iter().map(|subtask| of(&subtask.stats)).sum::<u64>()
    };
    assert_eq!(sum(|stats| stats.persisted_in_alignment), entry.slowest.persisted_in_alignment);
    assert!(
        entry.slowest.asynchronous > Duration::ZERO && entry.slowest.synchronous > Duration::ZERO
    );

    let uri = run.checkpoint_uri();
    drop(run);
    config.parallelism = Parallelism::new(3).unwrap();
    let (mut run, _stop) = start(job(), &config, Some(uri));
    assert_eq!(run.execute().unwrap(), JobStatus::Finished);
    let expected: BTreeMap<_, _> = (0..20_000).map(|n| (format!("{n} 1"), 1)).collect();
    assert_eq!(committed(&directory.path().join("slow")), expected);
}
