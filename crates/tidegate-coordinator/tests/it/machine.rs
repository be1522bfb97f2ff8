//! The state machine, step by step.

use std::num::NonZeroU32;

use tidegate_coordinator::{
    AbortReason, AcknowledgeOutcome, Action, CheckpointStatus, Coordinator, CoordinatorConfig,
    DeclineReason, Event, ExternalizedCheckpointCleanup, FailureReason, JobStatus,
    RestoredCheckpoint,
};
use tidegate_store::Determinacy;
use tidegate_types::{AttemptId, FileHandle, Parallelism, SnapshotKind, Subtask, TaskId};

use crate::common::{
    acknowledgement, brief, coordinator, id, job, ms, shared, topology, uid, width,
};

fn every_second() -> CoordinatorConfig {
    CoordinatorConfig { interval: Some(ms(1000)), ..CoordinatorConfig::default() }
}

fn handle(coordinator: &mut Coordinator, event: Event, now: u64) -> Vec<String> {
    brief(&coordinator.handle(event, ms(now), now))
}

/// Acknowledges for both tasks; gives what the second one brought about.
fn acknowledge(
    coordinator: &mut Coordinator,
    checkpoint: u64,
    files: &[FileHandle],
    now: u64,
) -> Vec<String> {
    let first = Event::Acknowledged(acknowledgement(id(checkpoint), 0, files));
    assert_eq!(handle(coordinator, first, now), Vec::<String>::new());
    handle(coordinator, Event::Acknowledged(acknowledgement(id(checkpoint), 1, &[])), now)
}

/// One whole checkpoint that is due at `now`.
fn complete(
    coordinator: &mut Coordinator,
    checkpoint: u64,
    files: &[FileHandle],
    now: u64,
) -> Vec<String> {
    assert_eq!(handle(coordinator, Event::Tick, now), [format!("Checkpoint {checkpoint}")]);
    assert_eq!(acknowledge(coordinator, checkpoint, files, now), [format!("publish {checkpoint}")]);
    handle(coordinator, Event::Published(id(checkpoint)), now)
}

#[test]
fn a_checkpoint_is_complete_only_when_published() {
    let mut c = coordinator(every_second());
    assert_eq!(c.next_wakeup(), Some(ms(1000)));
    assert_eq!(handle(&mut c, Event::Tick, 999), Vec::<String>::new());
    assert_eq!(handle(&mut c, Event::Tick, 1000), ["Checkpoint 1"]);
    assert_eq!(acknowledge(&mut c, 1, &[], 1010), ["publish 1"]);
    assert!(c.latest_completed().is_none());
    assert_eq!(handle(&mut c, Event::Published(id(1)), 1020), ["complete 1"]);
    let metadata = c.latest_completed().unwrap().metadata();
    assert_eq!((metadata.checkpoint, metadata.created_at_ms), (id(1), 1000));
    assert_eq!(metadata.operators.len(), 2);
    let last = c.statistics().history().next_back().unwrap();
    assert_eq!(last.status, CheckpointStatus::Completed { duration: ms(20) });
    assert_eq!(handle(&mut c, Event::Published(id(1)), 1030), Vec::<String>::new());
    assert_eq!(c.next_wakeup(), Some(ms(2000)));
}

#[test]
fn every_acknowledgement_has_an_outcome() {
    let mut c = coordinator(every_second());
    handle(&mut c, Event::Tick, 1000);
    let mut outcome = |acknowledgement| c.acknowledge(acknowledgement, ms(1000), 0).0;
    assert_eq!(outcome(acknowledgement(id(1), 0, &[])), AcknowledgeOutcome::Accepted);
    assert_eq!(outcome(acknowledgement(id(1), 0, &[])), AcknowledgeOutcome::Duplicate);
    assert_eq!(outcome(acknowledgement(id(7), 0, &[])), AcknowledgeOutcome::Discarded);
    let mut wrong = acknowledgement(id(1), 1, &[]);
    wrong.subtask = Subtask::new(0, width(2));
    assert_eq!(outcome(wrong), AcknowledgeOutcome::UnknownSubtask);
    let mut wrong = acknowledgement(id(1), 1, &[]);
    wrong.operators[0].0 = uid("source");
    assert_eq!(outcome(wrong), AcknowledgeOutcome::UnknownSubtask);
    assert_eq!(outcome(acknowledgement(id(1), 1, &[])), AcknowledgeOutcome::Completed);
    assert_eq!(outcome(acknowledgement(id(1), 1, &[])), AcknowledgeOutcome::Duplicate);
    handle(&mut c, Event::Published(id(1)), 1000);
    let (late, actions) = c.acknowledge(acknowledgement(id(1), 1, &[]), ms(1000), 0);
    assert_eq!((late, actions), (AcknowledgeOutcome::Duplicate, Vec::new()));
    let counts = c.statistics().counts();
    assert_eq!((counts.accepted, counts.duplicate, counts.unknown, counts.discarded), (2, 3, 2, 1));
}

#[test]
fn older_ones_go_after_the_newer_one_is_published() {
    let mut c = coordinator(every_second());
    let (a, b) = (shared("a"), shared("b"));
    assert_eq!(complete(&mut c, 1, &[a.clone(), b.clone()], 1000), ["complete 1"]);
    assert_eq!(complete(&mut c, 2, &[b], 2000), ["complete 2", "discard 1 [a]"]);
}

#[test]
fn a_pending_checkpoint_holds_the_files_of_its_base() {
    let two = NonZeroU32::new(2).unwrap();
    let mut c = coordinator(CoordinatorConfig { max_concurrent: two, ..every_second() });
    // 1. checkpoint 1 completes, and uses file a;
    complete(&mut c, 1, &[shared("a")], 1000);
    // 2. 2 and 3 are triggered; a task means to use a again in 3, not in 2;
    handle(&mut c, Event::Tick, 2000);
    handle(&mut c, Event::Tick, 3000);
    // 3. 2 completes and subsumes 1, the newest registered user of a; a would be deleted;
    acknowledge(&mut c, 2, &[], 3000);
    let actions = handle(&mut c, Event::Published(id(2)), 3000);
    assert_eq!(actions, ["complete 2", "discard 1 []"]);
    // 4. the acknowledgement of 3 arrives and refers to a.
    acknowledge(&mut c, 3, &[shared("a")], 3000);
    let actions = handle(&mut c, Event::Published(id(3)), 3000);
    assert_eq!(actions, ["complete 3", "discard 2 []"]);
    assert_eq!(complete(&mut c, 4, &[], 4000), ["complete 4", "discard 3 [a]"]);
}

#[test]
fn late_files_of_an_aborted_checkpoint_are_deleted_and_used_ones_are_not() {
    let mut c = coordinator(CoordinatorConfig { tolerable_failures: 9, ..every_second() });
    complete(&mut c, 1, &[shared("old")], 1000);
    handle(&mut c, Event::Tick, 2000);
    let declined = Event::Declined {
        checkpoint: id(2),
        task: TaskId::new(1),
        subtask: Subtask::new(0, Parallelism::ONE),
        reason: "disk full".to_owned().into(),
    };
    assert_eq!(handle(&mut c, declined, 2000), ["aborted 2", "discard 2 []"]);
    let late = acknowledgement(id(2), 0, &[shared("old"), shared("new")]);
    let (outcome, actions) = c.acknowledge(late, ms(2100), 0);
    assert_eq!(outcome, AcknowledgeOutcome::Discarded);
    assert_eq!(brief(&actions), ["discard 2 [new]"]);
    // Who declines late may have finished some of its files too.
    handle(&mut c, Event::Tick, 3000);
    let declined = |task| Event::Declined {
        checkpoint: id(3),
        task: TaskId::new(task),
        subtask: Subtask::new(0, Parallelism::ONE),
        reason: "disk full".to_owned().into(),
    };
    assert_eq!(handle(&mut c, declined(0), 3000), ["aborted 3", "discard 3 []"]);
    assert_eq!(handle(&mut c, declined(1), 3000), ["discard 3 []"]);
    assert_eq!(handle(&mut c, declined(1), 3000), Vec::<String>::new());
}

#[test]
fn failures_in_a_row_fail_the_job_and_a_success_forgives() {
    let mut c = coordinator(CoordinatorConfig { tolerable_failures: 1, ..every_second() });
    let fail = |c: &mut Coordinator, checkpoint: u64| {
        handle(c, Event::Tick, checkpoint * 1000);
        acknowledge(c, checkpoint, &[], checkpoint * 1000);
        let determinacy = Determinacy::Determinate;
        let failed = Event::PublishFailed { checkpoint: id(checkpoint), determinacy };
        c.handle(failed, ms(checkpoint * 1000), 0)
    };
    assert_eq!(brief(&fail(&mut c, 1)), ["aborted 1", "discard 1 []"]);
    complete(&mut c, 2, &[], 2000);
    fail(&mut c, 3);
    let actions = fail(&mut c, 4);
    let Some(Action::FailJob(FailureReason::TooManyFailures { failures, last })) = actions.last()
    else {
        panic!("{actions:?}")
    };
    assert_eq!(*failures, 2);
    assert!(matches!(last, AbortReason::PublicationFailed { .. }));
    assert_eq!(c.next_wakeup(), None, "nothing starts before the tasks are restarted");
    let restarted = Event::TasksRestarted { attempt: AttemptId::new(2) };
    assert_eq!(handle(&mut c, restarted, 4000), Vec::<String>::new());
    assert_eq!(brief(&fail(&mut c, 5)), ["aborted 5", "discard 5 []"], "forgiven too");
    complete(&mut c, 6, &[], 6000);
    assert_eq!(c.latest_completed().unwrap().metadata().attempt, AttemptId::new(2));
}

#[test]
fn a_subtask_that_does_not_run_is_no_failure() {
    let mut c = coordinator(every_second());
    handle(&mut c, Event::Tick, 1000);
    let (task, subtask) = (TaskId::new(0), Subtask::new(0, Parallelism::ONE));
    let reason = DeclineReason::NotRunning;
    let declined = Event::Declined { checkpoint: id(1), task, subtask, reason };
    assert_eq!(handle(&mut c, declined, 1000), ["aborted 1", "discard 1 []"]);
}

#[test]
fn missing_acknowledgements_time_out() {
    let config = CoordinatorConfig { timeout: ms(300), tolerable_failures: 9, ..every_second() };
    let mut c = coordinator(config);
    handle(&mut c, Event::Tick, 1000);
    assert_eq!(c.next_wakeup(), Some(ms(1300)));
    assert_eq!(handle(&mut c, Event::Tick, 1300), ["aborted 1", "discard 1 []"]);
    // A publication under way is not given up: it may have happened.
    handle(&mut c, Event::Tick, 2000);
    acknowledge(&mut c, 2, &[], 2000);
    assert_eq!(handle(&mut c, Event::Tick, 2999), Vec::<String>::new());
    assert_eq!(handle(&mut c, Event::Published(id(2)), 2999), ["complete 2"]);
}

#[test]
fn the_final_checkpoint_waits_for_others_and_ends_the_job() {
    let pause = ms(60_000);
    let mut c = coordinator(CoordinatorConfig { min_pause: pause, ..every_second() });
    handle(&mut c, Event::Tick, 1000);
    assert_eq!(handle(&mut c, Event::SourcesExhausted, 1100), Vec::<String>::new());
    acknowledge(&mut c, 1, &[], 1200);
    // No pause is kept before it.
    assert_eq!(handle(&mut c, Event::Published(id(1)), 1300), ["complete 1", "Final 2"]);
    acknowledge(&mut c, 2, &[], 1400);
    let actions = handle(&mut c, Event::Published(id(2)), 1500);
    assert_eq!(actions, ["complete 2", "discard 1 []", "finish"]);
    assert_eq!(c.next_wakeup(), None);
    let actions = handle(&mut c, Event::JobEnded(JobStatus::Finished), 1600);
    assert_eq!(actions, ["discard 2 []"]);
}

#[test]
fn a_failed_final_checkpoint_is_tried_again() {
    let mut c =
        coordinator(CoordinatorConfig { tolerable_failures: 1, ..CoordinatorConfig::default() });
    assert_eq!(handle(&mut c, Event::SourcesExhausted, 50), ["Final 1"]);
    acknowledge(&mut c, 1, &[], 50);
    let determinacy = Determinacy::Indeterminate;
    let failed = |n| Event::PublishFailed { checkpoint: id(n), determinacy };
    assert_eq!(handle(&mut c, failed(1), 50), ["aborted 1", "discard 1 []"]);
    assert_eq!(c.next_wakeup(), Some(ms(1050)));
    assert_eq!(handle(&mut c, Event::Tick, 1050), ["Final 2"]);
    acknowledge(&mut c, 2, &[], 1050);
    assert_eq!(handle(&mut c, failed(2), 1050), ["aborted 2", "discard 2 []", "fail"]);
    // What may have been published after all is deleted once more.
    let ended = handle(&mut c, Event::JobEnded(JobStatus::Failed), 1060);
    assert_eq!(ended, ["discard 1 []", "discard 2 []"]);
}

#[test]
fn tasks_that_restart_during_a_publication_give_it_up() {
    let mut c = coordinator(every_second());
    complete(&mut c, 1, &[shared("a")], 1000);
    handle(&mut c, Event::Tick, 2000);
    acknowledge(&mut c, 2, &[shared("a"), shared("b")], 2000);
    let restarted = Event::TasksRestarted { attempt: AttemptId::new(2) };
    assert_eq!(handle(&mut c, restarted, 2100), ["aborted 2"]);
    // Deleted when its outcome is known, not before.
    assert_eq!(handle(&mut c, Event::Published(id(2)), 2200), ["discard 2 [b]"]);
    assert_eq!(c.latest_completed().unwrap().checkpoint(), id(1));
}

#[test]
fn a_savepoint_is_never_deleted_and_nothing_overtakes_it() {
    let three = NonZeroU32::new(3).unwrap();
    let mut c = coordinator(CoordinatorConfig { max_concurrent: three, ..every_second() });
    let savepoint = Event::TriggerRequested(SnapshotKind::Savepoint);
    assert_eq!(handle(&mut c, savepoint, 10), ["Savepoint 1"]);
    assert_eq!(handle(&mut c, Event::Tick, 1500), Vec::<String>::new());
    acknowledge(&mut c, 1, &[shared("s")], 1600);
    assert_eq!(handle(&mut c, Event::Published(id(1)), 1600), ["complete 1", "Checkpoint 2"]);
    assert_eq!(c.latest_completed().unwrap().kind(), SnapshotKind::Savepoint);
    acknowledge(&mut c, 2, &[], 1700);
    assert_eq!(handle(&mut c, Event::Published(id(2)), 1700), ["complete 2"]);
    let ended = handle(&mut c, Event::JobEnded(JobStatus::Canceled), 1800);
    assert_eq!(ended, ["discard 2 []"]);
}

#[test]
fn who_is_superseded_deletes_nothing_any_more() {
    let mut c = coordinator(every_second());
    complete(&mut c, 1, &[shared("a")], 1000);
    handle(&mut c, Event::Tick, 2000);
    acknowledge(&mut c, 2, &[], 2000);
    assert_eq!(handle(&mut c, Event::PublishSuperseded(id(2)), 2000), ["aborted 2", "fail"]);
    let restarted = Event::TasksRestarted { attempt: AttemptId::new(2) };
    assert_eq!(handle(&mut c, restarted, 2100), Vec::<String>::new());
    assert_eq!(c.next_wakeup(), None);
    assert_eq!(handle(&mut c, Event::JobEnded(JobStatus::Canceled), 2200), Vec::<String>::new());
}

#[test]
fn nothing_of_the_restored_checkpoint_is_deleted() {
    let mut first = coordinator(every_second());
    complete(&mut first, 1, &[shared("theirs")], 1000);
    let metadata = first.latest_completed().unwrap().metadata().clone();
    let restored = RestoredCheckpoint::not_claimed(metadata);
    let mut c = Coordinator::new(every_second(), topology(1, 1), job(), id(2), Some(restored));
    complete(&mut c, 2, &[shared("theirs")], 1000);
    assert_eq!(complete(&mut c, 3, &[], 2000), ["complete 3", "discard 2 []"]);
    assert_eq!(handle(&mut c, Event::JobEnded(JobStatus::Canceled), 3000), ["discard 3 []"]);
}

#[test]
fn the_end_keeps_what_the_table_says() {
    use ExternalizedCheckpointCleanup::{DeleteOnCancellation, NoExternalizedCheckpoints};
    let ended = |cleanup, status| {
        let retained = NonZeroU32::new(2).unwrap();
        let mut c = coordinator(CoordinatorConfig { retained, cleanup, ..every_second() });
        complete(&mut c, 1, &[shared("a"), shared("b")], 1000);
        complete(&mut c, 2, &[shared("b")], 2000);
        handle(&mut c, Event::JobEnded(status), 2500)
    };
    let all = ["discard 1 [a]", "discard 2 [b]"];
    assert_eq!(ended(NoExternalizedCheckpoints, JobStatus::Finished), all);
    assert_eq!(ended(NoExternalizedCheckpoints, JobStatus::Suspended), ["discard 1 [a]"]);
    assert_eq!(ended(DeleteOnCancellation, JobStatus::Canceled), all);
    assert_eq!(ended(DeleteOnCancellation, JobStatus::Failed), Vec::<String>::new());
}

#[test]
fn a_surplus_that_a_crash_has_left_is_not_kept_at_the_end() {
    let mut first = coordinator(every_second());
    let recovered: Vec<_> = (1..=3)
        .map(|number| {
            complete(&mut first, number, &[shared("a")], number * 1000);
            first.latest_completed().unwrap().metadata().clone()
        })
        .collect();
    let retained = NonZeroU32::new(2).unwrap();
    let cleanup = ExternalizedCheckpointCleanup::DeleteOnCancellation;
    let config = CoordinatorConfig { retained, cleanup, ..every_second() };
    let mut c = Coordinator::new(config, topology(1, 1), job(), id(4), None);
    c = c.with_recovered(recovered);
    assert_eq!(c.latest_completed().unwrap().checkpoint(), id(3));
    // The file is used by the newer ones, too.
    assert_eq!(handle(&mut c, Event::JobEnded(JobStatus::Failed), 0), ["discard 1 []"]);
}
