//! Kills real jobs with SIGKILL at random instants and resumes them: the committed output must be
//! that of a run that never failed, every time.
//!
//! `TIDEGATE_KILL_RUNS` sets the number of runs of each test (`cargo xtask soak`), and
//! `TIDEGATE_SEED` repeats the random choices of a failed run, which prints its seed.
#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod alignment;
mod input;
mod job;
mod output;
#[path = "../common/programs.rs"]
mod programs;
mod rescale;
#[cfg(feature = "rocksdb")]
mod rocksdb;
mod seeds;

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tidegate_store::{CheckpointStorage, FsStorage};

use crate::input::{Random, count_words, write_input};
use crate::job::{Job, Outcome};
use crate::output::{committed_lines, compare};
use crate::seeds::seeds;

/// What one storm does: how long a started job lives, and how often it is killed.
struct Storm {
    kills: std::ops::RangeInclusive<u64>,
    life_ms: std::ops::RangeInclusive<u64>,
    interval_ms: u64,
    /// More of the configuration.
    settings: &'static str,
}

/// Everything that the fs backend can do at once: incremental checkpoints of which several are
/// kept, overlays that are spilled between them, and segments that are always being merged.
const BUSY: &str = "state.checkpoints.num-retained: 3\n\
                    state.backend.fs:\n  overlay-max-bytes: 2 kb\n  compaction:\n    \
                    max-segments: 2\n    min-merge: 2\n";
const WHOLE: &str = "state.backend.incremental: false\nstate.checkpoints.num-retained: 2\n";
const MEMORY: &str = "state.backend.type: memory\n";

/// The checkpoints' place.
fn local(directory: &TempDir) -> Arc<dyn CheckpointStorage> {
    Arc::new(FsStorage::open(&directory.path().join("checkpoints")).unwrap())
}

fn storm(seed: u64, storm: &Storm) {
    println!("TIDEGATE_SEED={seed}");
    let mut random = Random::new(seed);
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("input");
    write_input(&input, &mut random);
    let expected = count_words(&input);
    let mut job =
        Job::new(local(&directory), directory.path(), &input, storm.interval_ms, storm.settings);
    // About two seconds of work, so that most kills hit a running job.
    job.rate = Some(2_000);
    let mut resumed = 0;
    for _ in 0..random.within(storm.kills.clone()) {
        let life = Duration::from_millis(random.within(storm.life_ms.clone()));
        match job.run_and_kill_after(life, random.within(0..=1) == 0) {
            Outcome::Killed { resumed: true } => resumed += 1,
            Outcome::Killed { resumed: false } => {}
            Outcome::Finished => break,
        }
    }
    job.rate = None;
    job.run_to_the_end();
    compare(&expected, &committed_lines(&job.output), seed, resumed);
}

#[test]
fn killed_at_random_instants_and_resumed() {
    let plan = Storm { kills: 1..=2, life_ms: 100..=2_000, interval_ms: 100, settings: "" };
    seeds(9, 1).into_iter().for_each(|seed| storm(seed, &plan));
}

#[test]
fn killed_several_times_in_a_row() {
    let plan = Storm { kills: 3..=6, life_ms: 50..=700, interval_ms: 40, settings: MEMORY };
    seeds(8, 2).into_iter().for_each(|seed| storm(seed, &plan));
}

// Lives so short that most kills come while the job starts or restores.
#[test]
fn killed_while_restoring() {
    let plan = Storm { kills: 6..=12, life_ms: 5..=160, interval_ms: 20, settings: "" };
    seeds(5, 3).into_iter().for_each(|seed| storm(seed, &plan));
}

// An interval of a millisecond: there is nearly always a checkpoint under way.
#[test]
fn killed_inside_a_checkpoint() {
    let plan = Storm { kills: 2..=4, life_ms: 200..=900, interval_ms: 1, settings: "" };
    seeds(5, 4).into_iter().for_each(|seed| storm(seed, &plan));
}

#[test]
fn killed_with_everything_going_on_in_the_state() {
    let plan = Storm { kills: 3..=6, life_ms: 50..=900, interval_ms: 15, settings: BUSY };
    seeds(6, 5).into_iter().for_each(|seed| storm(seed, &plan));
}

#[test]
fn killed_with_whole_checkpoints() {
    let plan = Storm { kills: 2..=5, life_ms: 50..=900, interval_ms: 30, settings: WHOLE };
    seeds(4, 6).into_iter().for_each(|seed| storm(seed, &plan));
}
