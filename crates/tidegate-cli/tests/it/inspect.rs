//! `tidegate inspect`: a sound checkpoint, and one that lacks something.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use tidegate_meta::CheckpointMetadata;
use tidegate_types::{
    AttemptId, BackendKind, CheckpointId, Digest, Distribution, FileHandle, FileReference, JobId,
    KeyGroup, KeyGroupRange, KeyedStateHandle, ListStateHandle, MaxParallelism, OperatorState,
    OperatorUid, Parallelism, RegisteredState, SnapshotKind, StateHandle, StateKind, SubtaskState,
};

use crate::tool::Place;

/// A checkpoint with one state in a file, one in the metadata.
fn write_checkpoint(place: &Place, number: u64) -> PathBuf {
    let directory = place.path().join("aa".repeat(16)).join(format!("chk-{number}"));
    fs::create_dir_all(&directory).unwrap();
    let content = b"keyed state";
    fs::write(directory.join("count-0"), content).unwrap();
    let file = FileHandle {
        reference: FileReference::in_checkpoint("count-0").unwrap(),
        length: content.len() as u64,
        digest: Digest::of(content),
    };
    let key_groups = KeyGroupRange::new(KeyGroup::new(0), KeyGroup::new(127)).unwrap();
    let keyed = KeyedStateHandle {
        backend: BackendKind::Canonical,
        key_groups,
        manifest: StateHandle::File(file),
        shared: Vec::new(),
    };
    let positions = ListStateHandle {
        name: "positions".into(),
        distribution: Distribution::Split,
        item_lengths: vec![3, 4],
        items: StateHandle::Inline(Arc::from(&b"abcdefg"[..])),
    };
    let count = RegisteredState {
        name: "count".into(),
        kind: StateKind::Value,
        fingerprint: 7,
        schema_version: 0,
        types: "String -> u64".into(),
    };
    let operator = |uid: &str, registered, state| OperatorState {
        uid: OperatorUid::new(uid).unwrap(),
        parallelism: Parallelism::ONE,
        max_parallelism: MaxParallelism::DEFAULT,
        registered,
        subtasks: vec![(0, state)],
    };
    let counting = SubtaskState { keyed: vec![keyed], ..SubtaskState::default() };
    let reading =
        SubtaskState { lists: vec![positions], finished: true, ..SubtaskState::default() };
    let metadata = CheckpointMetadata {
        job_id: JobId::from_bytes([0xaa; 16]),
        job_name: "words".to_owned(),
        checkpoint: CheckpointId::new(number).unwrap(),
        attempt: AttemptId::new(2),
        kind: SnapshotKind::Checkpoint,
        created_at_ms: 951_782_400_000,
        operators: vec![
            operator("count", vec![count], counting),
            operator("lines", Vec::new(), reading),
        ],
    };
    fs::write(directory.join("_metadata"), tidegate_meta::encode(&metadata).unwrap()).unwrap();
    directory
}

fn json(place: &Place, path: &str) -> (i32, serde_json::Value) {
    let (code, out, error) = place.outcome(&["inspect", "--json", path]);
    assert_eq!(error, "");
    (code, serde_json::from_str(&out).unwrap())
}

#[test]
fn a_sound_checkpoint_is_shown_whole() {
    let place = Place::new();
    let directory = write_checkpoint(&place, 3);
    for path in [directory.join("_metadata"), directory.clone(), directory.join("..")] {
        let (code, out, error) = place.outcome(&["inspect", path.to_str().unwrap()]);
        assert_eq!((code, error.as_str()), (0, ""), "{out}");
        for expected in [
            "checkpoint 3 of job words",
            "created 2000-02-29T00:00:00.000Z",
            "operator count: parallelism 1 of at most 128, 11 B\n",
            "operator lines: parallelism 1 of at most 128, 7 B, 1 subtasks finished\n",
            "count  value  String -> u64\n",
            "positions  operator list         2 items, 7 B, split\n",
            "count-0  11 B  count     ok\n",
            "usable: ",
        ] {
            assert!(out.contains(expected), "{expected:?} in {out}");
        }
    }
    let (code, shown) = json(&place, directory.to_str().unwrap());
    assert_eq!(code, 0);
    assert_eq!(shown["usable"], true);
    assert_eq!(shown["checkpoint"], 3);
    assert_eq!(shown["state_length"], 18);
    assert_eq!(shown["operators"][0]["states"][0]["fingerprint"], "0000000000000007");
    assert_eq!(shown["operators"][1]["states"][0]["list"]["items"], 2);
    assert_eq!(shown["files"][0]["status"], "ok");
}

#[test]
fn a_missing_and_a_damaged_file_are_named() {
    let place = Place::new();
    let directory = write_checkpoint(&place, 3);
    let path = directory.to_str().unwrap();
    fs::write(directory.join("count-0"), b"keyed stat\xe5").unwrap();
    let (code, shown) = json(&place, path);
    assert_eq!((code, &shown["usable"]), (3, &false.into()));
    assert_eq!(shown["files"][0]["status"], "damaged");

    fs::remove_file(directory.join("count-0")).unwrap();
    let (code, shown) = json(&place, path);
    assert_eq!((code, &shown["files"][0]["status"]), (3, &"missing".into()));
    let (code, out, _) = place.outcome(&["inspect", path]);
    assert_eq!(code, 3);
    assert!(out.contains("count-0  11 B  count     MISSING\n"), "{out}");
    assert!(out.contains("NOT usable: 1 of 1 files"), "{out}");
}

#[test]
fn of_a_job_the_newest_usable_checkpoint_is_shown() {
    let place = Place::new();
    let older = write_checkpoint(&place, 3);
    let newer = write_checkpoint(&place, 4);
    fs::remove_file(newer.join("count-0")).unwrap();
    let (code, shown) = json(&place, older.parent().unwrap().to_str().unwrap());
    assert_eq!((code, &shown["checkpoint"]), (0, &3.into()));
    let skipped = shown["skipped"][0].as_str().unwrap();
    assert!(skipped.contains("chk-4") && skipped.contains("count-0"), "{skipped}");
}

#[test]
fn what_is_no_checkpoint_is_refused() {
    let place = Place::new();
    let directory = write_checkpoint(&place, 3);
    let metadata = directory.join("_metadata");
    let mut bytes = fs::read(&metadata).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&metadata, bytes).unwrap();
    for path in [metadata.to_str().unwrap(), "absent", "."] {
        let (code, out, error) = place.outcome(&["inspect", path]);
        assert_eq!((code, out.as_str()), (3, ""), "{path}");
        assert!(error.starts_with("tidegate: "), "{error}");
    }
}
