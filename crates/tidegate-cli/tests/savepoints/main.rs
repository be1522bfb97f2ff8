//! Savepoints of real jobs: taken, stopped with, resumed from, rescaled, upgraded, claimed, deleted.
#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod evolution;
mod gauges;
#[path = "../kill/input.rs"]
mod input;
mod ownership;
mod place;
#[path = "../common/programs.rs"]
mod programs;
mod stop;

use crate::input::{Random, count_words, write_input};
use crate::place::Place;

const WORDS: &str = "wordcount --input input --output output";

const MEMORY: &str = "-D state.backend.type=memory";
const FS: &str = "-D state.backend.type=fs";

// From savepoints and from native checkpoints, up and down, from one backend to the other and
// back; sources, keyed state and what sinks have not committed yet all move.
#[test]
fn results_do_not_change_with_the_parallelism() {
    let place = Place::new();
    write_input(&place.at("input"), &mut Random::new(5));
    let expected = count_words(&place.at("input"));
    let slowly = format!("{WORDS} --rate 1500");

    let mut job = place.start(&format!("{MEMORY} -p 1"), &slowly);
    job.await_checkpoints(3);
    let savepoint = job.stop(false);

    let mut job = place.start(&format!("{FS} -p 2 -s {}", savepoint.display()), &slowly);
    job.await_checkpoints(3);
    job.kill();

    let checkpoints = place.job_directory();
    let mut job = place.start(&format!("{FS} -p 7 -s {}", checkpoints.display()), &slowly);
    job.await_checkpoints(2);
    // Taken in passing: what is committed after it is taken back when it is resumed from.
    let savepoint = job.savepoint();
    let completed = job.await_checkpoints(0).completed_checkpoints;
    job.await_checkpoints(completed + 2);
    job.kill();

    let (code, log) = place.run(&format!("{MEMORY} -p 3 -s {}", savepoint.display()), WORDS);
    assert_eq!(code, 0, "{log}");
    let found = place.lines("output");
    assert!(found == expected, "{} lines, {} expected", found.len(), expected.len());
}

#[test]
fn a_savepoint_is_self_contained_and_can_be_moved() {
    let place = Place::new();
    write_input(&place.at("input"), &mut Random::new(6));
    let expected = count_words(&place.at("input"));
    let mut job = place.start("-p 2", &format!("{WORDS} --rate 1500"));
    job.await_checkpoints(3);
    let savepoint = job.stop(false);
    let name = savepoint.file_name().unwrap().to_str().unwrap();
    let prefix = format!(
        "savepoint-{}-",
        &place.job_directory().file_name().unwrap().to_str().unwrap()[..6]
    );
    assert!(name.starts_with(&prefix), "{name} tells the job {prefix}");

    std::fs::remove_dir_all(place.at("checkpoints")).unwrap();
    std::fs::rename(&savepoint, place.at("elsewhere")).unwrap();
    let (code, out, _) = place.tidegate(&["inspect", "elsewhere"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.starts_with("savepoint ") && out.contains("usable: "), "{out}");
    let (code, log) = place.run("-p 4 -s elsewhere/_metadata", WORDS);
    assert_eq!(code, 0, "{log}");
    assert!(place.lines("output") == expected);
}

#[test]
fn another_maximum_parallelism_is_refused_and_nothing_is_touched() {
    let place = Place::new();
    write_input(&place.at("input"), &mut Random::new(7));
    let mut job = place.start("-p 2", &format!("{WORDS} --rate 1500"));
    job.await_checkpoints(2);
    let savepoint = job.stop(false);
    let before = place.lines("output");
    let options = format!("-D pipeline.max-parallelism=64 -s {}", savepoint.display());
    let (code, log) = place.run(&options, WORDS);
    assert_eq!(code, 3, "{log}");
    assert!(log.contains("set pipeline.max-parallelism to 128"), "{log}");
    let (code, log) = place.run(&format!("-p 129 -s {}", savepoint.display()), WORDS);
    assert_eq!(code, 2, "{log}");
    assert!(log.contains("parallelism 129 is above the job's maximum of 128"), "{log}");
    assert!(place.lines("output") == before);
}
