//! A program that crashes is started again from its newest checkpoint, as often as is allowed.

use rustix::process::{Signal, kill_process};

use crate::job::{Place, eventually};

fn restarting(attempts: u32, delay: &str) -> Place {
    Place::new("DELETE_ON_CANCELLATION")
        .with("restart-strategy.type", "fixed-delay")
        .with("restart-strategy.fixed-delay.attempts", &attempts.to_string())
        .with("restart-strategy.fixed-delay.delay", delay)
}

/// Crashes are over when the job has completed a checkpoint since.
fn wait_for_more(place: &Place) {
    place.wait_for_checkpoint(place.complete().last().copied().unwrap_or(0) + 1);
}

#[test]
fn whatever_kills_the_program_the_job_goes_on_and_its_output_is_exact() {
    let mut place = restarting(9, "10 ms");
    place.rate = Some(800);
    let running = place.start(&[]);
    place.wait_for_checkpoint(2);
    let directory = place.job_directory().unwrap();
    for (restart, crash) in ["abort", "exit 9", "exit 0", "SIGKILL"].into_iter().enumerate() {
        match crash {
            "SIGKILL" => kill_process(running.job_process(), Signal::KILL).unwrap(),
            poison => place.poison(poison),
        }
        running.wait_until_told(&format!("restart {} in", restart + 1));
        wait_for_more(&place);
    }
    let list = place.list();
    assert_eq!(list[0]["status"]["restarts"], 4, "{list}");
    let log = running.ends_with(0);
    for told in ["was ended by signal 6", "ended with status 9", "was ended by signal 9"] {
        assert!(log.contains(told), "{told}: {log}");
    }
    assert_eq!(place.job_directory(), Some(directory), "it keeps its id");
    assert_eq!(place.files(), [""; 0], "FINISHED deletes them all");
    place.check_output();
}

#[test]
fn a_job_that_crashes_before_its_first_checkpoint_starts_anew_under_its_id() {
    let mut place = restarting(1, "1 ms");
    place.rate = None;
    let place = place.with("execution.checkpointing.interval", "1 h");
    place.poison("abort");
    let log = place.start(&[]).ends_with(0);
    assert!(log.contains("restart 1 in"), "{log}");
    assert!(place.job_directory().is_some());
    place.check_output();
}

// Both runs begin with the same attempt, so that it is no mark of whose a checkpoint is.
#[test]
fn a_crash_brings_back_what_was_asked_for_and_no_newer_checkpoint_of_another_run() {
    let place = Place::new("RETAIN_ON_CANCELLATION");
    let first = place.start(&[]);
    place.wait_for_checkpoint(4);
    first.signal(Signal::TERM);
    first.ends_with(6);
    let kept = place.complete();
    let (older, newest) = (kept[0], kept[1]);
    // A run of its own, from the older one, which ends before it has taken a checkpoint.
    let asked = place.job_directory().unwrap().join(format!("chk-{older}"));
    let second = place.start(&["-s", asked.to_str().unwrap()]);
    second.wait_until_told("resumes from");
    place.wait_for_checkpoint(newest);
    second.signal(Signal::TERM);
    second.ends_with(6);
    let kept = place.complete();

    let mut place = place
        .with("execution.checkpointing.interval", "1 h")
        .with("restart-strategy.type", "fixed-delay");
    place.rate = None;
    place.poison("abort");
    let log = place.start(&["-s", asked.to_str().unwrap()]).ends_with(0);
    assert!(log.contains("restart 1 in"), "{log}");
    assert_eq!(log.matches(&format!("resumes from checkpoint {older}\n")).count(), 2, "{log}");
    assert_eq!(place.complete(), kept, "nothing of the other runs is deleted");
    place.check_output();
}

#[test]
fn it_gives_up_says_so_and_does_with_the_checkpoints_what_the_table_says() {
    for (retention, kept) in [("NO_EXTERNALIZED_CHECKPOINTS", 0), ("DELETE_ON_CANCELLATION", 2)] {
        let place = restarting(1, "1 ms");
        let retention_key = "execution.checkpointing.externalized-checkpoint-retention";
        let place = place.with(retention_key, retention);
        let running = place.start(&[]);
        place.wait_for_checkpoint(3);
        place.poison("abort");
        running.wait_until_told("restart 1 in");
        wait_for_more(&place);
        place.poison("exit 7");
        let log = running.ends_with(1);
        assert!(log.contains("FAILED") && log.contains("ended with status 7"), "{log}");
        assert!(log.contains("after 1 restarts, as restart-strategy.* says"), "{log}");
        assert_eq!(log.contains("to go on from its newest checkpoint: -s"), kept > 0, "{log}");
        assert_eq!(place.complete().len(), kept, "{retention}: {:?}", place.left());
    }
}

#[test]
fn a_job_without_durable_checkpoints_is_not_restarted() {
    let place = restarting(9, "1 ms").with("state.checkpoints.dir", "memory:");
    place.poison("abort");
    let log = place.start(&[]).ends_with(1);
    assert!(log.contains("set state.checkpoints.dir to have it restarted"), "{log}");
}

#[test]
fn while_it_waits_it_is_seen_and_can_be_ended() {
    for (end, code, kept) in [("cancel", 5, 0), ("SIGINT", 5, 0), ("SIGTERM", 6, 2)] {
        let place = restarting(1, "1 h");
        let running = place.start(&[]);
        place.wait_for_checkpoint(3);
        place.poison("abort");
        running.wait_until_told("restart 1 in");
        eventually("it is listed", || place.list()[0]["status"]["state"] == "restarting");
        match end {
            "cancel" => {
                assert!(place.tidegate().args(["cancel", "poison"]).status().unwrap().success());
            }
            "SIGINT" => running.signal(Signal::INT),
            _ => running.signal(Signal::TERM),
        }
        running.ends_with(code);
        assert_eq!(place.complete().len(), kept, "{end}: {:?}", place.left());
        assert_eq!(place.list(), serde_json::json!([]));
    }
}

#[test]
fn a_second_sigint_ends_a_job_that_does_not_react_to_the_first() {
    let place = restarting(9, "1 ms");
    let running = place.start(&[]);
    place.wait_for_checkpoint(1);
    place.poison("hang");
    eventually("it is swallowed", || !place.path("poison").exists());
    let mut running = running;
    running.signal(Signal::INT);
    // The same signal twice before it is taken is once.
    let mut ended = None;
    eventually("the second one ends it", || {
        running.signal(Signal::INT);
        std::thread::sleep(std::time::Duration::from_millis(50));
        ended = running.try_wait();
        ended.is_some()
    });
    assert_eq!(ended.and_then(|status| status.code()), Some(130), "{}", running.log());
}
