//! Every command with its checkpoints on a server.

use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::input::{Random, count_words, write_input};
use crate::job::Job;
use crate::output::{committed_lines, compare};
use crate::place::{Place, tidegate};

/// Runs it, expects this exit status, and gives what it prints.
fn told(directory: &Path, code: i32, arguments: &[&str]) -> String {
    let done = tidegate(directory, arguments);
    let error = String::from_utf8_lossy(&done.stderr);
    let told = String::from_utf8_lossy(&done.stdout).trim().to_owned();
    assert_eq!(done.status.code(), Some(code), "{arguments:?}: {told}{error}");
    format!("{told}{error}")
}

fn wait_for_checkpoint(job: &Job, child: &mut Child) {
    let before = job.newest_metadata().map(|metadata| metadata.checkpoint);
    let deadline = Instant::now() + Duration::from_secs(120);
    while job.newest_metadata().map(|metadata| metadata.checkpoint) <= before {
        assert!(Instant::now() < deadline, "no checkpoint\n{}", job.log());
        assert!(child.try_wait().unwrap().is_none(), "it has ended\n{}", job.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn every_command(place: &Place) {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let input = directory.join("input");
    write_input(&input, &mut Random::new(7));
    let expected = count_words(&input);
    let uri = place.storage.uri();
    let settings = format!(
        "{}state.savepoints.dir: {uri}/savepoints\nstate.cache.dir: {}\n",
        place.settings,
        directory.join("cache").display()
    );
    let storage = Arc::clone(&place.storage);
    let mut job = Job::new(storage, directory, &input, 200, &settings);
    job.rate = Some(400);
    // The savepoints lie beside the jobs' directories; so the job is named from here on.
    let mut child = job.start(None);
    wait_for_checkpoint(&job, &mut child);
    let list = told(directory, 0, &["list"]);
    assert!(list.contains(uri) && list.contains("RUNNING"), "{list}");
    let savepoint = told(directory, 0, &["savepoint", "wordcount"]);
    assert!(savepoint.starts_with(&format!("{uri}/savepoints/savepoint-")), "{savepoint}");
    let inspected = told(directory, 0, &["inspect", &savepoint]);
    assert!(inspected.contains("usable: the metadata and every file"), "{inspected}");
    told(directory, 0, &["cancel", "wordcount"]);
    assert_eq!(child.wait().unwrap().code(), Some(5), "{}", job.log());

    // Retained; and readable by its metadata, its directory and its job's.
    let kept = job.resumable().expect("the checkpoint is retained");
    let newest = format!("{uri}/{kept}/chk-{}", job.newest_metadata().unwrap().checkpoint);
    for path in [&*format!("{newest}/_metadata"), &newest, &format!("{uri}/{kept}")] {
        let inspected = told(directory, 0, &["inspect", "--json", path]);
        let report: serde_json::Value = serde_json::from_str(&inspected).unwrap();
        assert_eq!((&report["usable"], &report["path"]), (&true.into(), &newest.as_str().into()));
    }
    let refused = told(directory, 1, &["savepoint", "--dispose", &newest]);
    assert!(refused.contains("is a checkpoint"), "{refused}");
    told(directory, 3, &["inspect", &format!("{uri}/absent")]);
    assert!(!directory.join("cache/work").exists() || job.log().contains("starts"));

    // Stopped with a savepoint, from which another parallelism goes on.
    let mut child = job.start(Some(kept));
    wait_for_checkpoint(&job, &mut child);
    let second = told(directory, 0, &["stop", "wordcount"]);
    assert_eq!(child.wait().unwrap().code(), Some(0), "{}", job.log());
    (job.rate, job.parallelism) = (None, 3);
    let relative =
        tidegate_store::StoragePath::new(second.strip_prefix(uri).unwrap().trim_start_matches('/'));
    job.settings = vec![
        "execution.checkpointing.externalized-checkpoint-retention=DELETE_ON_CANCELLATION"
            .to_owned(),
    ];
    let mut child = job.start(Some(relative.unwrap()));
    assert_eq!(child.wait().unwrap().code(), Some(0), "{}", job.log());
    compare(&expected, &committed_lines(&job.output), 7, 2);

    for savepoint in [&savepoint, &second] {
        let disposed = told(directory, 0, &["savepoint", "--dispose", savepoint]);
        assert!(disposed.contains("deleted"), "{disposed}");
        told(directory, 3, &["inspect", savepoint]);
    }
    assert!(place.files().iter().all(|path| !path.starts_with("savepoints/")));
    deleted_on_cancellation(&job, place, directory);
}

/// The other retention: nothing is left of a job that is cancelled.
fn deleted_on_cancellation(job: &Job, place: &Place, directory: &Path) {
    let before = place.files();
    let output = directory.join("output");
    std::fs::remove_dir_all(&output).unwrap();
    let mut slow = vec!["run"];
    for setting in &job.settings {
        slow.extend(["-D", setting.as_str()]);
    }
    let wordcount = crate::programs::programs().join("wordcount");
    let (input, output) = (directory.join("input"), output);
    let mut child = std::process::Command::new(crate::programs::programs().join("tidegate"))
        .args(&slow)
        .arg(wordcount)
        .args(["--rate", "100", "--input"])
        .arg(input)
        .arg("--output")
        .arg(output)
        .env("TIDEGATE_CONF_DIR", directory.join("conf"))
        .env("TIDEGATE_RUNTIME_DIR", directory.join("conf/run"))
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let has_checkpoint =
        || place.files().difference(&before).any(|path| path.ends_with("_metadata"));
    while !has_checkpoint() {
        assert!(Instant::now() < deadline, "no checkpoint");
        std::thread::sleep(Duration::from_millis(20));
    }
    told(directory, 0, &["cancel", "wordcount"]);
    assert_eq!(child.wait().unwrap().code(), Some(5));
    let left: Vec<_> = place.files().difference(&before).cloned().collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn every_command_on_hdfs() {
    if let Some(place) = Place::on_hdfs("every_command_on_hdfs") {
        every_command(&place);
    }
}

#[test]
fn every_command_on_s3() {
    if let Some(place) = Place::on_s3("every_command_on_s3") {
        every_command(&place);
    }
}

#[test]
fn every_command_on_azure() {
    if let Some(place) = Place::on_azure("every_command_on_azure") {
        every_command(&place);
    }
}
