//! What goes wrong in practice, with the real job programs: each mistake is told with what, where and
//! what to do, ends with its exit code, and touches nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crate::programs::programs;
use crate::tool::{Place, eventually};

const USAGE: i32 = 2;
const RESTORE_REFUSED: i32 = 3;
const OCCUPIED: i32 = 4;

fn wordcount() -> String {
    programs().join("wordcount").display().to_string()
}

/// Text to count, and a place for checkpoints that are kept.
fn place() -> Place {
    let place = Place::new();
    fs::create_dir(place.path().join("input")).unwrap();
    let lines: Vec<_> = (0..2_000).map(|line| format!("ebb and flood {line}")).collect();
    fs::write(place.path().join("input/tides.txt"), lines.join("\n")).unwrap();
    fs::create_dir(place.path().join("conf")).unwrap();
    let configuration = format!(
        "state.checkpoints.dir: file://{}\nexecution.checkpointing:\n  interval: 20 ms\n  \
         externalized-checkpoint-retention: RETAIN_ON_CANCELLATION\n  num-retained: 3\n",
        place.path().join("checkpoints").display()
    );
    fs::write(place.path().join("conf/tidegate.yaml"), configuration).unwrap();
    place
}

/// Runs `tidegate run OPTIONS wordcount` over the place's input: exit code and standard error.
fn run(place: &Place, options: &[&str]) -> (i32, String) {
    run_into(place, options, "output")
}

fn run_into(place: &Place, options: &[&str], output: &str) -> (i32, String) {
    let job = wordcount();
    let arguments =
        [&["run"], options, &[&job, "--input", "input", "--output", output][..]].concat();
    let (code, _, error) = place.outcome(&arguments);
    (code, error)
}

/// A job that is slow enough to be caught running.
fn start(place: &Place) -> Child {
    let job = wordcount();
    let arguments = ["run", &job, "--input", "input", "--output", "output", "--rate", "300"];
    place.tidegate(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The directory of the only job.
fn job_directory(place: &Place) -> Option<PathBuf> {
    let mut jobs = fs::read_dir(place.path().join("checkpoints")).ok()?;
    Some(jobs.next()?.unwrap().path())
}

/// The completed checkpoints, oldest first.
fn checkpoints(job: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(job).unwrap().map(|entry| entry.unwrap().path());
    let mut complete: Vec<_> = entries.filter(|path| path.join("_metadata").exists()).collect();
    let number = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.strip_prefix("chk-").unwrap().parse::<u64>().unwrap()
    };
    complete.sort_by_key(number);
    complete
}

/// A job killed when it has three checkpoints.
fn killed(place: &Place) -> PathBuf {
    let mut child = start(place);
    eventually("three checkpoints", || {
        job_directory(place).is_some_and(|job| checkpoints(&job).len() >= 3)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    nobody_runs(place);
    job_directory(place).unwrap()
}

/// A job program dies with its supervisor, but not in the same instant.
fn nobody_runs(place: &Place) {
    eventually("the job is gone", || place.outcome(&["list"]).1.contains("no running jobs"));
}

/// How many lines a reader of the output sees.
fn committed_lines(place: &Place) -> usize {
    fs::read_dir(place.path().join("output"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| !entry.file_name().to_str().unwrap().starts_with('.'))
        .map(|entry| fs::read_to_string(entry.path()).unwrap().lines().count())
        .sum()
}

/// Every file below a directory, with its content.
fn content(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(content(&path));
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    files
}

#[test]
fn input_that_is_not_there() {
    let place = place();
    fs::remove_dir_all(place.path().join("input")).unwrap();
    let (code, error) = run(&place, &[]);
    assert_eq!(code, USAGE, "{error}");
    assert!(error.contains("/input does not exist: give a file or a directory"), "{error}");
    assert!(!place.path().join("output").exists() && !place.path().join("checkpoints").exists());
}

#[test]
fn input_that_may_not_be_read() {
    let place = place();
    std::os::unix::fs::symlink("nowhere", place.path().join("input/broken.txt")).unwrap();
    let (code, error) = run(&place, &[]);
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("cannot open") && error.contains("/input/broken.txt"), "{error}");
    assert!(!place.path().join("output").exists());
}

#[test]
fn output_of_another_job() {
    let place = place();
    let (code, error) = run(&place, &[]);
    assert_eq!(code, 0, "{error}");
    let before = content(&place.path().join("output"));
    let (code, error) = run(&place, &[]);
    assert_eq!(code, OCCUPIED, "{error}");
    assert!(error.contains("/output holds output of job"), "{error}");
    assert!(error.contains("choose an empty directory"), "{error}");
    assert!(content(&place.path().join("output")) == before, "nothing is touched");
}

#[test]
fn a_setting_that_does_not_exist_and_one_that_makes_no_sense() {
    let place = place();
    let (code, error) = run(&place, &["-D", "execution.checkpointing.intervall=1s"]);
    assert_eq!(code, 0, "{error}");
    assert!(error.contains("did you mean \"execution.checkpointing.interval\"?"), "{error}");

    let file = place.path().join("conf/tidegate.yaml");
    fs::write(&file, "parallelism.default: 2\nexecution.checkpointing.interval: soon\n").unwrap();
    let (code, error) = run_into(&place, &[], "never");
    assert_eq!(code, USAGE, "{error}");
    assert!(error.contains("tidegate.yaml:2") && error.contains("\"soon\""), "{error}");
    assert!(error.contains("200 ms"), "what is accepted: {error}");
    assert!(!place.path().join("never").exists());
}

#[test]
fn a_checkpoint_that_is_none() {
    let place = place();
    for (path, complaint) in [
        ("nowhere", "does not exist"),
        ("input", "is no checkpoint: name a `_metadata` file"),
        ("input/tides.txt", "is no checkpoint"),
    ] {
        let (code, error) = run(&place, &["-s", path]);
        assert_eq!(code, RESTORE_REFUSED, "{error}");
        assert!(error.contains(path) && error.contains(complaint), "{error}");
    }
    assert!(!place.path().join("output").exists() && !place.path().join("checkpoints").exists());
}

#[test]
fn a_running_job_s_checkpoints() {
    let place = place();
    let mut child = start(&place);
    let first = || job_directory(&place).filter(|job| !checkpoints(job).is_empty());
    eventually("a checkpoint", || first().is_some());
    let job = first().unwrap().display().to_string();
    let (code, error) = run_into(&place, &["-s", &job], "elsewhere");
    assert_eq!(code, OCCUPIED, "{error}");
    assert!(error.contains("wordcount") && error.contains("process"), "names the owner: {error}");
    assert!(!place.path().join("elsewhere").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    nobody_runs(&place);
}

#[test]
fn a_damaged_checkpoint_is_never_resumed_from() {
    let place = place();
    let job = killed(&place);
    let newest = checkpoints(&job).pop().unwrap();
    let metadata = newest.join("_metadata");
    let whole = fs::read(&metadata).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let damages = [&whole[..whole.len() / 2], &whole[..0], &flipped, b"no metadata at all"];
    for damage in damages {
        fs::write(&metadata, damage).unwrap();
        let before = content(place.path());
        for path in [&newest, &metadata] {
            let (code, error) = run(&place, &["-s", &path.display().to_string()]);
            assert_eq!(code, RESTORE_REFUSED, "{error}");
            let name = format!("{}/_metadata", newest.file_name().unwrap().to_str().unwrap());
            assert!(error.contains(&name), "{error}");
        }
        assert!(content(place.path()) == before, "nothing is touched");
    }

    // Named as a whole, the job falls back to the newest valid one, and says so.
    let (code, error) = run(&place, &["-s", &job.display().to_string()]);
    assert_eq!(code, 0, "{error}");
    let passed_over = newest.file_name().unwrap().to_str().unwrap();
    assert!(error.contains("passed over") && error.contains(passed_over), "{error}");
    assert_eq!(committed_lines(&place), 8_000, "four words in each of 2,000 lines, each once");
}

/// The state files of the newest checkpoint that no older one refers to.
fn newest_state_files(job: &Path) -> Vec<PathBuf> {
    let files = |checkpoint: &PathBuf| -> BTreeSet<PathBuf> {
        let bytes = fs::read(checkpoint.join("_metadata")).unwrap();
        let metadata = tidegate_meta::MetadataView::open(&bytes).unwrap().to_metadata();
        let subtasks = metadata.operators.iter().flat_map(|operator| &operator.subtasks);
        let files = subtasks.flat_map(|(_, state)| state.files());
        files.map(|file| job.join(file.reference.as_str())).collect()
    };
    let mut checkpoints: Vec<_> = checkpoints(job).iter().map(files).collect();
    let newest = checkpoints.pop().unwrap();
    let older: BTreeSet<PathBuf> = checkpoints.into_iter().flatten().collect();
    newest.difference(&older).filter(|file| file.exists()).cloned().collect()
}

#[test]
fn a_checkpoint_with_a_damaged_or_missing_state_file_is_never_resumed_from() {
    let place = place();
    let job = killed(&place);
    let newest = checkpoints(&job).pop().unwrap().display().to_string();
    let file = newest_state_files(&job).pop().expect("the fs backend keeps state in files");
    let name = file.file_name().unwrap().to_str().unwrap();
    let whole = fs::read(&file).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        Some(bytes)
    };
    let damages = [
        None,
        Some(whole[..whole.len() - 1].to_vec()),
        Some(Vec::new()),
        flipped(0),
        flipped(whole.len() / 2),
        flipped(whole.len() - 1),
    ];
    for damage in damages {
        fs::remove_file(&file).unwrap();
        if let Some(bytes) = &damage {
            fs::write(&file, bytes).unwrap();
        }
        let before = content(place.path());
        let (code, error) = run(&place, &["-s", &newest]);
        assert_eq!(code, RESTORE_REFUSED, "{error}");
        assert!(error.contains(name) && error.contains("count"), "file and operator: {error}");
        assert!(content(place.path()) == before, "nothing is touched");
        fs::write(&file, &whole).unwrap();
    }

    // Named as a whole, the job falls back to the newest whole one, and says so.
    fs::write(&file, flipped(whole.len() / 2).unwrap()).unwrap();
    let (code, error) = run(&place, &["-s", &job.display().to_string()]);
    assert_eq!(code, 0, "{error}");
    assert!(error.contains("passed over") && error.contains(name), "{error}");
    assert_eq!(committed_lines(&place), 8_000, "four words in each of 2,000 lines, each once");
}

#[test]
fn state_that_no_operator_claims() {
    let place = place();
    let job = killed(&place).display().to_string();
    let flights = programs().join("flights").display().to_string();
    let arguments = ["--input", "input", "--output", "other"];
    let all = [&["run", "-s", &job, &flights][..], &arguments].concat();
    let (code, _, error) = place.outcome(&all);
    assert_eq!(code, RESTORE_REFUSED, "{error}");
    assert!(error.contains("count") && error.contains("-n"), "{error}");
    assert!(!place.path().join("other").exists());
}

#[test]
fn more_state_than_the_memory_backend_takes() {
    let place = place();
    let settings = [
        "state.backend.type=memory",
        "state.backend.memory.max-state-size=2 kb",
        // Started again, it would fail again.
        "restart-strategy.type=none",
    ];
    let small: Vec<_> = settings.into_iter().flat_map(|setting| ["-D", setting]).collect();
    let (code, error) = run(&place, &small);
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("\"count\"") && error.contains("2048"), "state and cap: {error}");
    assert!(error.contains("fs") && error.contains("rocksdb"), "the way out: {error}");
}
