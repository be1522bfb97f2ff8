//! The main job killed with SIGKILL at random instants and resumed, its checkpoints on a server. The
//! committed output is that of a run that never failed; after the next checkpoint there is no file
//! that nothing refers to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::input::{Random, count_words, write_input};
use crate::job::{Job, Outcome};
use crate::output::{committed_lines, compare};
use crate::place::{Place, tidegate};
use crate::seeds::seeds;

/// Several checkpoints are kept, overlays spilled between them, segments always being merged.
const BUSY: &str = "state.checkpoints.num-retained: 2\n\
                    execution.checkpointing.tolerable-failed-checkpoints: 1000\n\
                    state.backend.fs:\n  overlay-max-bytes: 2 kb\n  compaction:\n    \
                    max-segments: 3\n    min-merge: 3\n";

/// Gives how often it was resumed from a checkpoint after a kill.
fn storm(seed: u64, place: &Place) -> usize {
    println!("TIDEGATE_SEED={seed}");
    let mut random = Random::new(seed);
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("input");
    write_input(&input, &mut random);
    let expected = count_words(&input);
    let cache = directory.path().join("cache");
    let settings = format!("{BUSY}{}state.cache.dir: {}\n", place.settings, cache.display());
    let storage = Arc::clone(&place.storage);
    let interval = random.within(50..=400);
    let mut job = Job::new(storage, directory.path(), &input, interval, &settings);
    job.rate = Some(1_200);
    let mut resumed = 0;
    for _ in 0..random.within(2..=4) {
        let life = Duration::from_millis(random.within(100..=2_500));
        match job.run_and_kill_after(life, random.within(0..=1) == 0) {
            Outcome::Killed { resumed: true } => resumed += 1,
            Outcome::Killed { resumed: false } => {}
            Outcome::Finished => break,
        }
        // Sometimes the next one is another machine.
        if random.within(0..=1) == 0 {
            let _ = std::fs::remove_dir_all(&cache);
        }
        job.parallelism = u16::try_from(random.within(1..=3)).unwrap();
    }
    no_orphan_after_the_next_checkpoint(&job, place, directory.path());
    job.rate = None;
    job.run_to_the_end();
    compare(&expected, &committed_lines(&job.output), seed, resumed);
    assert!(!cache.join("work").exists() || left(&cache.join("work")) == 0, "seed {seed}");
    resumed
}

fn no_orphan_after_the_next_checkpoint(job: &Job, place: &Place, directory: &std::path::Path) {
    let Some(before) = job.newest_metadata() else { return };
    let killed_left = place.files();
    let mut child = job.start(job.resumable());
    let deadline = Instant::now() + Duration::from_secs(120);
    let has_next =
        || job.newest_metadata().is_some_and(|newest| newest.checkpoint > before.checkpoint);
    while !has_next() {
        assert!(Instant::now() < deadline, "no further checkpoint\n{}", job.log());
        if child.try_wait().unwrap().is_some() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let cancelled = tidegate(directory, &["cancel", "wordcount"]);
    child.wait().unwrap();
    if !cancelled.status.success() {
        // It had come to its end.
        return;
    }
    let (mut orphans, missing) = place.orphans_and_missing();
    // Not what was being written when the job was cancelled; nor what a run has left that never came
    // to a checkpoint, and whose id therefore nobody has again.
    let directory = format!("{}/", job.resumable().unwrap());
    orphans.retain(|path| killed_left.contains(path) && path.starts_with(&directory));
    assert!(orphans.is_empty() && missing.is_empty(), "{orphans:?} {missing:?}\n{}", job.log());
}

fn left(directory: &std::path::Path) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

fn storms(test: &str, salt: u64, place: fn(&str) -> Option<Place>) {
    let mut resumed = 0;
    for seed in seeds(3, salt) {
        let Some(place) = place(test) else { return };
        resumed += storm(seed, &place);
    }
    println!("{resumed} resumes");
    assert!(resumed > 0, "never resumed: nothing was tested");
}

#[test]
fn killed_on_hdfs_and_resumed() {
    storms("killed_on_hdfs_and_resumed", 21, Place::on_hdfs);
}

#[test]
fn killed_on_s3_and_resumed() {
    storms("killed_on_s3_and_resumed", 22, Place::on_s3);
}
