//! One owner at a time: a second process is refused, and one that was superseded writes nothing more.

use rustix::process::{Signal, kill_process};

use crate::job::{Place, Running, eventually};

fn pause(running: &Running<'_>) -> rustix::process::Pid {
    let job = running.job_process();
    kill_process(job, Signal::STOP).unwrap();
    // Stopped when all of its threads are.
    let stat = format!("/proc/{}/stat", job.as_raw_nonzero());
    eventually("the job stops", || std::fs::read_to_string(&stat).unwrap().contains(") T "));
    job
}

#[test]
fn a_second_process_is_refused_and_told_who_owns_the_directory() {
    let place = Place::new("RETAIN_ON_CANCELLATION");
    let first = place.start(&[]);
    place.wait_for_checkpoint(1);
    let directory = place.job_directory().unwrap();
    let resume = ["-s", directory.to_str().unwrap()];
    let job = first.job_process();
    let owner = format!("process {}", job.as_raw_nonzero());
    let refused = || {
        let log = place.start(&resume).ends_with(4);
        assert!(log.contains("is in use by job \"poison\""), "{log}");
        assert!(log.contains(&owner) && log.contains("--take-over"), "{log}");
    };
    refused();
    // One that is stopped owns it as well.
    pause(&first);
    refused();
    kill_process(job, Signal::CONT).unwrap();
    place.wait_for_checkpoint(place.complete().last().unwrap() + 1);
    first.signal(Signal::TERM);
    first.ends_with(6);
    // Given free, anybody may have it.
    let next = place.start(&resume);
    place.wait_for_checkpoint(place.complete().last().unwrap() + 1);
    next.signal(Signal::TERM);
    next.ends_with(6);
}

#[test]
fn an_owner_that_was_stopped_and_superseded_publishes_and_deletes_nothing_more() {
    let mut place = Place::new("RETAIN_ON_CANCELLATION");
    // A directory of output cannot be taken over from a process that lives.
    place.has_output = false;
    let first = place.start(&[]);
    place.wait_for_checkpoint(4);
    let stopped = pause(&first);
    let of_first = place.complete();
    let directory = place.job_directory().unwrap();
    let second = place.start(&["--take-over", "-s", directory.to_str().unwrap()]);
    second.wait_until_told("is taken over from job \"poison\"");
    let newest = *of_first.last().unwrap();
    place.wait_for_checkpoint(newest + 1_000_000);

    kill_process(stopped, Signal::CONT).unwrap();
    let log = first.ends_with(4);
    assert!(log.contains("another process has taken over"), "{log}");
    // What it had published is all there, as the second one does not own it; and nothing else.
    let complete = place.complete();
    let low: Vec<u64> = complete.iter().copied().filter(|id| *id < 1_000_000).collect();
    assert_eq!(low, of_first);
    place.wait_for_checkpoint(complete.last().unwrap() + 3);
    second.signal(Signal::TERM);
    second.ends_with(6);
    assert!(place.newest_is_valid());
}
