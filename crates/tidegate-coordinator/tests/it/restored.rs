//! What becomes of the checkpoint that a job goes on from, and of savepoints that fail.

use std::sync::Arc;

use tidegate_coordinator::{
    Coordinator, CoordinatorConfig, Event, JobStatus, RestoredCheckpoint, locate_in, rebased,
};
use tidegate_meta::CheckpointMetadata;
use tidegate_store::{CheckpointStorage, Determinacy, FsStorage, StoragePath, StorageRegistry};
use tidegate_types::{
    FileHandle, FileReference, OperatorState, Parallelism, SnapshotKind, StateHandle, Subtask,
    TaskId,
};

use crate::common::{
    acknowledgement, brief, id, job, ms, shared, state_with, topology, uid, width,
};

fn metadata(kind: SnapshotKind, files: &[FileHandle]) -> CheckpointMetadata {
    let operator = OperatorState {
        uid: uid("source"),
        parallelism: width(1),
        max_parallelism: topology(1, 1).max_parallelism,
        registered: Vec::new(),
        subtasks: vec![(0, state_with(files))],
    };
    CheckpointMetadata {
        job_id: job().job_id,
        job_name: job().job_name,
        checkpoint: id(7),
        attempt: job().attempt,
        kind,
        created_at_ms: 1,
        operators: vec![operator],
    }
}

fn every_second() -> CoordinatorConfig {
    CoordinatorConfig { interval: Some(ms(1000)), ..CoordinatorConfig::default() }
}

fn handle(c: &mut Coordinator, event: Event, now: u64) -> Vec<String> {
    brief(&c.handle(event, ms(now), now))
}

fn complete(c: &mut Coordinator, checkpoint: u64, files: &[FileHandle], now: u64) -> Vec<String> {
    handle(c, Event::Tick, now);
    handle(c, Event::Acknowledged(acknowledgement(id(checkpoint), 0, files)), now);
    handle(c, Event::Acknowledged(acknowledgement(id(checkpoint), 1, &[])), now);
    handle(c, Event::Published(id(checkpoint)), now)
}

#[test]
fn a_claimed_checkpoint_is_one_of_the_jobs_own() {
    for kind in [SnapshotKind::Checkpoint, SnapshotKind::Savepoint] {
        let files = [shared("still used"), shared("no longer")];
        let restored = RestoredCheckpoint::claimed(Arc::new(metadata(kind, &files)));
        let mut c = Coordinator::new(every_second(), topology(1, 1), job(), id(8), Some(restored));
        assert_eq!(c.latest_completed().unwrap().checkpoint(), id(7), "tasks restart from it");
        // It is deleted with the first newer one, and of its files those that this does not use.
        let actions = complete(&mut c, 8, &files[..1], 1000);
        assert_eq!(actions, ["complete 8", "discard 7 [no longer]"], "{kind:?}");
        let actions = complete(&mut c, 9, &[], 2000);
        assert_eq!(actions, ["complete 9", "discard 8 [still used]"], "{kind:?}");
    }
}

#[test]
fn a_claimed_checkpoint_ends_as_the_jobs_own_do() {
    let restored = metadata(SnapshotKind::Savepoint, &[shared("a")]);
    let restored = RestoredCheckpoint::claimed(Arc::new(restored));
    let mut c = Coordinator::new(every_second(), topology(1, 1), job(), id(8), Some(restored));
    let actions = handle(&mut c, Event::JobEnded(JobStatus::Finished), 500);
    assert_eq!(actions, ["discard 7 [a]"]);
}

#[test]
fn of_a_checkpoint_that_is_not_claimed_nothing_is_deleted() {
    let restored = metadata(SnapshotKind::Checkpoint, &[shared("theirs")]);
    let restored = RestoredCheckpoint::not_claimed(Arc::new(restored));
    let mut c = Coordinator::new(every_second(), topology(1, 1), job(), id(8), Some(restored));
    assert_eq!(complete(&mut c, 8, &[shared("theirs")], 1000), ["complete 8"]);
    assert_eq!(complete(&mut c, 9, &[], 2000), ["complete 9", "discard 8 []"]);
    assert_eq!(handle(&mut c, Event::JobEnded(JobStatus::Finished), 2500), ["discard 9 []"]);
}

// However it fails, the job is well: no failure is tolerated here, and none is counted.
#[test]
fn a_savepoint_that_fails_is_no_failure_of_the_job() {
    let config = CoordinatorConfig { timeout: ms(300), ..CoordinatorConfig::default() };
    let mut c = Coordinator::new(config, topology(1, 1), job(), id(1), None);
    let wanted = || Event::TriggerRequested(SnapshotKind::Savepoint);
    assert_eq!(handle(&mut c, wanted(), 0), ["Savepoint 1"]);
    assert_eq!(handle(&mut c, Event::Tick, 300), ["aborted 1", "discard 1 []"], "timed out");

    assert_eq!(handle(&mut c, wanted(), 400), ["Savepoint 2"]);
    let declined = Event::Declined {
        checkpoint: id(2),
        task: TaskId::new(1),
        subtask: Subtask::new(0, Parallelism::ONE),
        reason: "no such directory".to_owned().into(),
    };
    assert_eq!(handle(&mut c, declined, 410), ["aborted 2", "discard 2 []"], "declined");

    assert_eq!(handle(&mut c, wanted(), 500), ["Savepoint 3"]);
    for task in 0..2 {
        handle(&mut c, Event::Acknowledged(acknowledgement(id(3), task, &[])), 510);
    }
    let determinacy = Determinacy::Determinate;
    let failed = Event::PublishFailed { checkpoint: id(3), determinacy };
    assert_eq!(handle(&mut c, failed, 520), ["aborted 3", "discard 3 []"], "not published");
    assert!(c.takes_requests());
    handle(&mut c, Event::SourcesExhausted, 600);
    assert!(!c.takes_requests(), "the job is finishing");
}

#[test]
fn from_another_directory_every_file_is_named_absolutely() {
    let root = tempfile::tempdir().unwrap();
    let storage: Arc<dyn CheckpointStorage> = Arc::new(FsStorage::open(root.path()).unwrap());
    let mut metadata = metadata(SnapshotKind::Checkpoint, &[shared("a")]);
    let own = FileReference::in_checkpoint("keyed-0").unwrap();
    let far = FileReference::absolute("hdfs://name/x").unwrap();
    let [operator] = &mut metadata.operators[..] else { panic!("one operator") };
    let keyed = &mut operator.subtasks[0].1.keyed;
    let manifest = |reference| StateHandle::File(FileHandle { reference, ..shared("m") });
    keyed[0].manifest = manifest(own);
    keyed.push(keyed[0].clone());
    keyed[1].manifest = manifest(far);
    let directory = StoragePath::new("job/chk-7").unwrap();
    let bytes = tidegate_meta::encode(&metadata).unwrap();
    let published = storage.publish(&directory.join("_metadata").unwrap(), &bytes).unwrap();
    assert_eq!(published, tidegate_store::PublishOutcome::Published);

    let located = locate_in(&StorageRegistry::local(), &storage, &directory).unwrap();
    let rebased = rebased(&located).unwrap();
    let state = &rebased.operators[0].subtasks[0].1;
    let names: Vec<&str> = state.files().map(|file| file.reference.as_str()).collect();
    let uri = storage.uri();
    let (chk, a) = (format!("{uri}/job/chk-7/keyed-0"), format!("{uri}/job/shared/a"));
    assert_eq!(names, [chk.as_str(), &a, "hdfs://name/x", &a]);
}
