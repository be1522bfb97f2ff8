//! What becomes of a job's checkpoints: every cell of the table, with real processes.
//!
//! | the job | `NO_EXTERNALIZED_CHECKPOINTS` | `DELETE_ON_CANCELLATION` | `RETAIN_ON_CANCELLATION` |
//! |---|---|---|---|
//! | FINISHED | delete | delete | delete |
//! | CANCELED | delete | delete | keep |
//! | FAILED | delete | keep | keep |
//! | SUSPENDED | keep the newest | keep | keep |
//! | killed | valid or incomplete | same | same |

use std::os::unix::process::ExitStatusExt;

use rustix::process::Signal;

use crate::job::Place;

#[derive(Clone, Copy, Debug)]
enum Left {
    Nothing,
    /// As many as are retained, and no other one.
    Retained,
    /// One.
    Newest,
    /// At least one that is valid; others may be on their way in or out.
    Valid,
}

use Left::{Newest, Nothing, Retained, Valid};

fn check(cell: &str, place: &Place, left: Left) {
    let complete = place.complete();
    let names = place.left();
    let told = format!("{cell}: {complete:?} complete, of {names:?}");
    match left {
        Nothing => {
            assert!(names.iter().all(|name| !name.starts_with("chk-")), "{told}");
            assert_eq!(place.files(), [""; 0], "{told}");
        }
        Retained => assert_eq!(complete.len(), 2, "{told}"),
        Newest => assert_eq!(complete.len(), 1, "{told}"),
        Valid => assert!((1..=4).contains(&complete.len()), "{told}"),
    }
    if !matches!(left, Valid) {
        let checkpoints = names.iter().filter(|name| name.starts_with("chk-")).count();
        assert_eq!(checkpoints, complete.len(), "incomplete ones are left; {told}");
        assert!(!names.iter().any(|name| name.starts_with('.')), "marks are left; {told}");
    }
    if !matches!(left, Nothing) {
        assert!(place.newest_is_valid(), "{told}");
    }
}

fn column(retention: &str, [finished, canceled, failed, suspended]: [Left; 4]) {
    let mut place = Place::new(retention);
    place.rate = None;
    place.start(&[]).ends_with(0);
    check(&format!("FINISHED, {retention}"), &place, finished);
    place.check_output();

    let place = Place::new(retention);
    let running = place.start(&[]);
    place.wait_for_checkpoint(4);
    let cancel = place.tidegate().args(["cancel", "poison"]).status().unwrap();
    assert!(cancel.success());
    running.ends_with(5);
    check(&format!("CANCELED, {retention}"), &place, canceled);

    let place = Place::new(retention).with("restart-strategy.type", "fixed-delay");
    let place = place.with("restart-strategy.fixed-delay.delay", "1 ms");
    let running = place.start(&[]);
    place.wait_for_checkpoint(4);
    place.poison("fail");
    running.wait_until_told("restart 1");
    place.wait_for_checkpoint(place.complete().last().copied().unwrap_or(0) + 3);
    place.poison("panic");
    let log = running.ends_with(1);
    assert!(log.contains("failed after 1 restarts"), "{log}");
    check(&format!("FAILED, {retention}"), &place, failed);

    let place = Place::new(retention);
    let running = place.start(&[]);
    place.wait_for_checkpoint(4);
    running.signal(Signal::TERM);
    running.ends_with(6);
    check(&format!("SUSPENDED, {retention}"), &place, suspended);

    let place = Place::new(retention);
    let mut running = place.start(&[]);
    place.wait_for_checkpoint(4);
    let job = running.job_process();
    running.signal(Signal::KILL);
    assert_eq!(running.wait().signal(), Some(9));
    // The job dies with its supervisor, a moment later.
    let stat = format!("/proc/{}/stat", job.as_raw_nonzero());
    crate::job::eventually("the job dies", || {
        std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "))
    });
    check(&format!("killed, {retention}"), &place, Valid);
}

#[test]
fn without_externalized_checkpoints() {
    column("NO_EXTERNALIZED_CHECKPOINTS", [Nothing, Nothing, Nothing, Newest]);
}

#[test]
fn deleted_on_cancellation() {
    column("DELETE_ON_CANCELLATION", [Nothing, Nothing, Retained, Retained]);
}

#[test]
fn retained_on_cancellation() {
    column("RETAIN_ON_CANCELLATION", [Nothing, Retained, Retained, Retained]);
}
