//! A job that changes between two runs: schema, operators.

use crate::gauges::{assert_exact, write_readings};
use crate::place::Place;

const GAUGES: &str = "gauges --input input --output output";

#[test]
fn a_new_release_takes_on_the_state_of_the_old_one_and_not_the_other_way_round() {
    let place = Place::new();
    let peaks = write_readings(&place.at("input"));
    let mut job = place.start("-p 2", &format!("{GAUGES} --release 1 --rate 800"));
    job.await_checkpoints(4);
    let first = job.stop(false);

    let mut job =
        place.start(&format!("-p 3 -s {}", first.display()), &format!("{GAUGES} --rate 800"));
    job.await_checkpoints(3);
    let second = job.stop(false);

    let (code, log) =
        place.run(&format!("-s {}", second.display()), &format!("{GAUGES} --release 1"));
    assert_eq!(code, 3, "{log}");
    let told = ["state \"levels\" of operator peak", "String -> i64 -> Peak", "schema version 1"];
    assert!(told.iter().all(|told| log.contains(told)), "{log}");

    let (code, log) = place.run(&format!("-p 2 -s {}", second.display()), GAUGES);
    assert_eq!(code, 0, "{log}");
    assert_exact(&place.lines("output"), &peaks);
}

#[test]
fn operators_come_and_go() {
    let place = Place::new();
    let peaks = write_readings(&place.at("input"));
    let with_alarms = format!("{GAUGES} --alarms alarms");
    let mut job = place.start("-p 2", &format!("{GAUGES} --rate 800"));
    job.await_checkpoints(4);
    let without = job.stop(false);

    // A new one starts empty: it counts from here.
    let options = format!("-p 2 -s {}", without.display());
    let mut job = place.start(&options, &format!("{with_alarms} --rate 800"));
    job.await_checkpoints(4);
    let with = job.stop(false);
    let counted = place.lines("alarms");
    assert!(counted.keys().any(|line| line.ends_with(",1")), "{counted:?}");

    // One that is gone leaves state behind, which must be said.
    let (code, log) = place.run(&format!("-s {}", with.display()), GAUGES);
    assert_eq!(code, 3, "{log}");
    let told = ["operators that the job does not have: ", "alarm", "(-n)"];
    assert!(told.iter().all(|told| log.contains(told)), "{log}");
    let (code, log) = place.run(&format!("-n -s {}", with.display()), GAUGES);
    assert_eq!(code, 0, "{log}");
    assert_exact(&place.lines("output"), &peaks);
    assert_eq!(place.lines("alarms"), counted, "nobody counts any more");
}
