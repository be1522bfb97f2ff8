//! Jobs whose checkpoints are in a store without local files.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;
use tidegate_coordinator::CheckpointPaths;
use tidegate_store::{EntropyMarker, StorageFactory};

use super::far::{FarStores, Mood, Server};
use super::*;

const KEYS: u64 = 300;
const COUNT: u64 = 30_000;

/// A store, the job that uses it, and where its output goes.
struct World {
    directory: TempDir,
    server: Arc<Server>,
    config: JobConfig,
    job: PathBuf,
    uri: String,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = config(directory.path());
        config.checkpoints_dir = Some(format!("far://{}/far", directory.path().display()));
        config.parallelism = Parallelism::new(2).unwrap();
        // Files of earlier checkpoints, spilled ones and merged ones: of all kinds.
        config.fs_overlay_max_bytes = 4 << 10;
        config.fs_compaction.max_segments = NonZeroUsize::new(3).unwrap();
        config.cache_dir = Some(directory.path().join("cache"));
        let (job, uri) = (PathBuf::new(), String::new());
        Self { directory, server: Arc::default(), config, job, uri }
    }

    fn registry(&self) -> StorageRegistry {
        let factory: Arc<dyn StorageFactory> = Arc::new(FarStores(Arc::clone(&self.server)));
        self.config.registry([factory])
    }

    fn start(&self, rate: u64, restore: Option<String>) -> (JobRun, Sender<Stop>) {
        let job = Job::new();
        job.source("source", Generator::new(COUNT, |n| n % KEYS))
            .rate_limit(NonZeroU64::new(rate))
            .stream()
            .key_by(|key: &u64| *key)
            .process("count", move |states| {
                let seen = states.value::<u64>("seen")?;
                Ok(move |key: &u64, _: u64, out: &mut ProcessContext<'_, _, _>| {
                    let times = seen.get()?.unwrap_or(0) + 1;
                    seen.put(times)?;
                    out.emit(format!("{key} {times}"));
                    Ok(())
                })
            })
            .sink("sink", FileSink::new(self.directory.path().join("output")));
        let options = RunOptions { restore_path: restore, ..RunOptions::default() };
        let (stop, stops) = unbounded();
        let status = Arc::new(StatusBoard::new(Instant::now()));
        let registry = self.registry();
        let settings = RunSettings { config: &self.config, registry: &registry, options: &options };
        let run = JobRun::prepare("far", job, &settings, stops, status);
        (run.unwrap(), stop)
    }

    /// Runs until there is a checkpoint with files, then suspends.
    fn run_for_a_while(&mut self, restore: Option<String>) {
        let (run, stop) = self.start(4_000, restore);
        let run = run_until(run, &stop, |metadata| {
            let states = subtasks(metadata, "count");
            states.len() > 1 && states.iter().all(|state| state.files().next().is_some())
        });
        self.uri = run.checkpoint_uri();
        self.job = self.uri.strip_prefix("far://").unwrap().into();
    }

    fn finish(&self, restore: Option<String>) {
        let (mut run, _stop) = self.start(0, restore);
        assert_eq!(run.execute().unwrap(), JobStatus::Finished);
        drop(run);
        let times = COUNT / KEYS;
        let lines = (0..KEYS).flat_map(|key| (1..=times).map(move |n| format!("{key} {n}")));
        let expected: BTreeMap<_, _> = lines.map(|line| (line, 1)).collect();
        assert!(committed(&self.directory.path().join("output")) == expected, "each once");
    }

    /// What the files of the newest checkpoint hold, as length and bytes read since the last time:
    /// several files may hold the same.
    fn contents_read(&self) -> Vec<(u64, u64)> {
        let read = self.server.take_read();
        let metadata = newest(&self.job).unwrap();
        let operators = metadata.operators.iter().flat_map(|operator| &operator.subtasks);
        let mut files: Vec<_> = operators.flat_map(|(_, state)| state.files()).collect();
        files.sort_by_key(|file| file.reference.to_string());
        files.dedup();
        let mut contents = BTreeMap::new();
        for file in files {
            let name = file.reference.as_str().rsplit('/').next().unwrap();
            let read = read.iter().filter(|(path, _)| path.ends_with(name)).map(|(_, read)| read);
            contents.entry(file.digest).or_insert((file.length, 0)).1 += read.sum::<u64>();
        }
        contents.into_values().collect()
    }

    fn forget_copies(&self) {
        fs::remove_dir_all(self.directory.path().join("cache")).unwrap();
    }

    fn all_files(&self, directory: &str) -> Vec<PathBuf> {
        let mut directories = vec![self.directory.path().join(directory)];
        let mut files = Vec::new();
        while let Some(directory) = directories.pop() {
            for child in fs::read_dir(directory).into_iter().flatten().flatten() {
                let is_directory = child.file_type().unwrap().is_dir();
                if is_directory { &mut directories } else { &mut files }.push(child.path());
            }
        }
        files
    }
}

#[test]
fn each_file_is_downloaded_once_also_for_other_subtasks() {
    let mut world = World::new();
    world.run_for_a_while(None);
    for parallelism in [2, 3, 1] {
        world.forget_copies();
        world.server.take_read();
        world.config.parallelism = Parallelism::new(parallelism).unwrap();
        let (run, stop) = world.start(4_000, Some(world.uri.clone()));
        // Verified by now, and not mapped yet.
        let verified = world.contents_read();
        let is_once = |(length, read): &(u64, u64)| length == read;
        assert!(verified.len() > 1 && verified.iter().all(is_once), "{verified:?}");
        let metadata = newest(&world.job).unwrap().checkpoint;
        run_until(run, &stop, |_| true);
        assert!(newest(&world.job).unwrap().checkpoint > metadata);
        let read = world.server.take_read();
        let segments: Vec<_> = read.keys().filter(|path| path.ends_with(".segment")).collect();
        assert_eq!(segments, Vec::<&String>::new(), "p = {parallelism}");
    }
    world.forget_copies();
    world.finish(Some(world.uri.clone()));
}

#[test]
fn what_was_uploaded_here_is_not_downloaded() {
    let mut world = World::new();
    world.run_for_a_while(None);
    for _ in 0..2 {
        world.server.take_read();
        world.run_for_a_while(Some(world.uri.clone()));
        let read = world.server.take_read();
        assert!(read.keys().any(|path| path.ends_with("_metadata")), "{read:?}");
        assert!(!read.keys().any(|path| path.ends_with(".segment")), "{read:?}");
    }
    world.finish(Some(world.uri.clone()));
    let cache = world.directory.path().join("cache");
    assert_eq!(fs::read_dir(cache.join("work")).unwrap().count(), 0, "it goes with the process");
}

#[test]
fn a_cache_too_small_for_anything_is_enough() {
    let mut world = World::new();
    world.config.cache_max_bytes = 1;
    world.run_for_a_while(None);
    world.run_for_a_while(Some(world.uri.clone()));
    world.finish(Some(world.uri.clone()));
    assert!(world.all_files("cache/files").is_empty());
}

#[test]
fn a_store_that_fails_or_hangs_costs_checkpoints_and_not_the_job() {
    for mood in [Mood::Fails, Mood::Hangs] {
        let mut world = World::new();
        world.config.tolerable_failed = u32::MAX;
        world.config.timeout = Duration::from_millis(200);
        let (mut run, stop) = world.start(10_000, None);
        world.job = run.checkpoint_uri().strip_prefix("far://").unwrap().into();
        let newest = || newest(&world.job).map(|metadata| metadata.checkpoint);
        let wait = |until: &dyn Fn() -> bool| {
            let deadline = Instant::now() + Duration::from_secs(60);
            while !until() {
                assert!(Instant::now() < deadline, "{mood:?}: it never comes to that");
                std::thread::sleep(Duration::from_millis(2));
            }
        };
        std::thread::scope(|scope| {
            let job = scope.spawn(|| run.execute());
            wait(&|| newest().is_some());
            world.server.set(mood);
            let refused = world.server.refused();
            wait(&|| world.server.refused() > refused);
            let before = newest();
            world.server.set(Mood::Well);
            wait(&|| newest() > before || job.is_finished());
            assert!(!job.is_finished(), "{mood:?}: no checkpoint after the store was well again");
            stop.send(Stop::Suspend).unwrap();
            assert_eq!(job.join().unwrap().unwrap(), JobStatus::Suspended, "{mood:?}");
        });
        assert_eq!(run.backoff.restarts(), 0, "{mood:?}");
        let uri = run.checkpoint_uri();
        drop(run);
        world.finish(Some(uri));
    }
}

#[test]
fn data_with_entropy_lies_apart_and_what_a_crash_leaves_of_it_is_removed() {
    let mut world = World::new();
    let root = format!("far://{}/far", world.directory.path().display());
    world.config.checkpoints_dir = Some(format!("{root}/_entropy_/checkpoints"));
    world.config.entropy = EntropyMarker::new("_entropy_", Some(4));
    world.run_for_a_while(None);
    assert!(world.uri.starts_with(&format!("{root}/checkpoints/")), "{}", world.uri);
    let is_data = |path: &PathBuf| path.extension().is_some_and(|it| it == "segment");
    let data = || world.all_files("far").into_iter().filter(is_data).collect::<Vec<_>>();
    let first = data();
    let prefixes: std::collections::BTreeSet<_> = first
        .iter()
        .map(|path| path.strip_prefix(world.directory.path().join("far")).unwrap())
        .map(|path| path.iter().next().unwrap().to_owned())
        .collect();
    assert!(prefixes.len() > 1 && prefixes.iter().all(|prefix| prefix.len() == 4), "{first:?}");
    // Left by a killed attempt; and one of a run whose metadata is elsewhere.
    let orphan = first[0].with_file_name("9-9-9-9-chk9-0.segment");
    let shared = first[0].parent().unwrap();
    let owner = shared.parent().unwrap().parent().unwrap();
    let other = owner.with_file_name("0123456789abcdef").join("job/shared/x.segment");
    fs::create_dir_all(other.parent().unwrap()).unwrap();
    for path in [&orphan, &other] {
        fs::write(path, b"x").unwrap();
    }
    let uri = world.uri.clone();
    world.run_for_a_while(Some(uri));
    assert!(!orphan.exists() && other.exists());
    // The job deletes its own; what is not claimed stays.
    let referred = newest(&world.job).unwrap();
    assert!(referred.operators.iter().flat_map(|o| &o.subtasks).all(|(_, state)| {
        state.files().all(|file| !matches!(file.reference, tidegate_types::FileReference::InJob(_)))
    }));
    world.finish(Some(world.uri.clone()));
}

#[test]
fn a_damaged_file_of_the_store_is_refused_before_the_start() {
    let mut world = World::new();
    world.run_for_a_while(None);
    world.forget_copies();
    let segment = |path: &PathBuf| path.extension().is_some_and(|it| it == "segment");
    let used = newest(&world.job).unwrap();
    let used: Vec<_> = used
        .operators
        .iter()
        .flat_map(|operator| &operator.subtasks)
        .flat_map(|(_, state)| state.files())
        .map(|file| file.reference.as_str().to_owned())
        .collect();
    let files = world.all_files("far");
    let is_used = |path: &&PathBuf| used.iter().any(|name| path.ends_with(name));
    let file = files.iter().filter(|path| segment(path)).find(is_used).unwrap();
    let mut bytes = fs::read(file).unwrap();
    bytes[100] ^= 1;
    fs::write(file, bytes).unwrap();
    let located = tidegate_coordinator::locate_in(
        &world.registry(),
        &world.registry().open(&world.uri).unwrap(),
        &CheckpointPaths::of_directory(tidegate_store::StoragePath::root())
            .unwrap()
            .checkpoint(newest(&world.job).unwrap().checkpoint),
    );
    let error = tidegate_coordinator::verify(&located.unwrap()).unwrap_err();
    assert!(error.to_string().contains("is damaged"), "{error}");
}

// Also of a checkpoint that was under way: what its tasks have written and acknowledged, and what they
// acknowledge after the job has ended, is nobody's.
#[test]
fn nothing_is_left_of_a_job_that_is_cancelled_in_the_middle_of_a_checkpoint() {
    let mut world = World::new();
    world.config.retention =
        tidegate_coordinator::ExternalizedCheckpointCleanup::DeleteOnCancellation;
    world.config.interval = Some(Duration::from_millis(1));
    for pause_ms in [3, 7, 11, 20, 31] {
        let (mut run, stop) = world.start(20_000, None);
        let job = PathBuf::from(run.checkpoint_uri().strip_prefix("far://").unwrap());
        std::thread::scope(|scope| {
            let running = scope.spawn(|| run.execute());
            let deadline = Instant::now() + Duration::from_secs(60);
            while newest(&job).is_none() {
                assert!(Instant::now() < deadline, "no checkpoint");
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(pause_ms));
            stop.send(Stop::Cancel).unwrap();
            assert_eq!(running.join().unwrap().unwrap(), JobStatus::Canceled);
        });
        drop(run);
        let left = world.all_files("far");
        assert!(left.is_empty(), "{left:?}");
        fs::remove_dir_all(world.directory.path().join("output")).unwrap();
    }
}
