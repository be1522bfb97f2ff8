//! Stopping with a savepoint, with and without draining, and savepoints that fail.

use crate::gauges::{assert_exact, fired, write_readings};
use crate::input::{Random, count_words, write_input};
use crate::place::Place;

const GAUGES: &str = "gauges --input input --output output";

#[test]
fn without_draining_no_window_fires() {
    let place = Place::new();
    let peaks = write_readings(&place.at("input"));
    let mut job = place.start("-p 2", &format!("{GAUGES} --rate 800"));
    job.await_checkpoints(4);
    let savepoint = job.stop(false);
    assert!(place.lines("output").is_empty(), "event time has not ended");
    let (code, log) = place.run(&format!("-p 3 -s {}", savepoint.display()), GAUGES);
    assert_eq!(code, 0, "{log}");
    assert_exact(&place.lines("output"), &peaks);
}

#[test]
fn with_draining_every_window_fires_and_its_output_is_committed() {
    let place = Place::new();
    let peaks = write_readings(&place.at("input"));
    let mut job = place.start("-p 2", &format!("{GAUGES} --rate 800"));
    job.await_checkpoints(6);
    let savepoint = job.stop(true);
    let drained = fired(&place.lines("output"));
    assert!(!drained.is_empty(), "event time has ended");
    assert!(drained.values().all(|levels| levels.len() == 1), "{drained:?}");
    // Whoever goes on nevertheless gets windows of what was not read before, and of that alone.
    let (code, log) = place.run(&format!("-s {}", savepoint.display()), GAUGES);
    assert_eq!(code, 0, "{log}");
    let all = fired(&place.lines("output"));
    let highest = all.iter().map(|(at, levels)| (at.clone(), *levels.iter().max().unwrap()));
    assert!(highest.eq(peaks), "nothing was lost: {all:?}");
    assert!(all.values().all(|levels| levels.len() <= 2), "{all:?}");
}

// The file in the way makes the savepoint fail; the job reads on and its result is whole.
#[test]
fn a_job_whose_savepoint_fails_goes_on() {
    for stop in [&["savepoint"][..], &["stop", "--savepoint-path"], &["stop", "--drain", "-p"]] {
        let place = Place::new();
        write_input(&place.at("input"), &mut Random::new(8));
        let expected = count_words(&place.at("input"));
        std::fs::write(place.at("file"), "in the way").unwrap();
        let mut job = place.start("-p 2", "wordcount --input input --output output --rate 1800");
        job.await_checkpoints(2);
        let id = place.job_id();
        let arguments: Vec<&str> = match stop {
            ["savepoint"] => vec!["savepoint", &id, "file/below"],
            stop => stop.iter().copied().chain(["file/below", &id]).collect(),
        };
        let (code, out, error) = place.tidegate(&arguments);
        assert_eq!((code, out.as_str()), (1, ""), "{error}");
        assert!(error.contains("the savepoint failed: "), "{error}");
        let (code, log) = job.end();
        assert_eq!(code, 0, "{log}");
        assert!(place.lines("output") == expected, "{arguments:?}\n{log}");
    }
}

#[test]
fn a_job_without_a_directory_for_savepoints_says_so() {
    let place = Place::new();
    write_input(&place.at("input"), &mut Random::new(9));
    let yaml = std::fs::read_to_string(place.at("conf/tidegate.yaml")).unwrap();
    let lines = yaml.lines().filter(|line| !line.contains("savepoints"));
    let yaml = lines.collect::<Vec<_>>().join("\n");
    std::fs::write(place.at("conf/tidegate.yaml"), yaml).unwrap();
    let mut job = place.start("", "wordcount --input input --output output --rate 500");
    job.await_checkpoints(1);
    let (code, _, error) = place.tidegate(&["savepoint", "wordcount"]);
    assert_eq!(code, 1);
    assert!(error.contains("set state.savepoints.dir"), "{error}");
    // A relative one is relative to where it is asked for.
    let (code, out, error) = place.tidegate(&["savepoint", "wordcount", "here", "--json"]);
    assert_eq!(code, 0, "{error}");
    let taken: serde_json::Value = serde_json::from_str(&out).unwrap();
    let path = taken["path"].as_str().unwrap().strip_prefix("file://").unwrap();
    assert!(path.starts_with(place.at("here").to_str().unwrap()), "{path}");
    assert!(std::path::Path::new(path).join("_metadata").exists());
    job.kill();
}
