//! What is shown of a checkpoint: the form of `inspect --json`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;
use tidegate_coordinator::{FileFault, FileProblem, LocatedCheckpoint};
use tidegate_types::{FileReference, OperatorState, SnapshotKind, StateHandle};

/// A checkpoint, as `--json` shows it. Lengths are in bytes.
#[derive(Debug, Serialize)]
pub(crate) struct CheckpointReport {
    /// The directory of its metadata.
    pub(crate) path: String,
    pub(crate) job_id: String,
    pub(crate) job_name: String,
    pub(crate) checkpoint: u64,
    pub(crate) attempt: u64,
    pub(crate) kind: &'static str,
    /// Since the Unix epoch.
    pub(crate) created_at_ms: u64,
    /// All state, in files and in the metadata.
    pub(crate) state_length: u64,
    /// Whether every file is there and undamaged.
    pub(crate) usable: bool,
    pub(crate) operators: Vec<OperatorReport>,
    pub(crate) files: Vec<FileReport>,
    /// Newer checkpoints of the job that were passed over, with the reason.
    pub(crate) skipped: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct OperatorReport {
    pub(crate) uid: String,
    pub(crate) parallelism: u16,
    pub(crate) max_parallelism: u16,
    pub(crate) state_length: u64,
    pub(crate) finished_subtasks: usize,
    pub(crate) states: Vec<StateReport>,
    pub(crate) subtasks: Vec<SubtaskReport>,
}

/// A state that the operator registered, or a list of operator state.
#[derive(Debug, Serialize)]
pub(crate) struct StateReport {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) types: String,
    pub(crate) schema_version: u32,
    /// Of the types, in hexadecimal: a number this large is no JSON number everywhere.
    pub(crate) fingerprint: String,
    /// Operator state only.
    pub(crate) list: Option<ListReport>,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct ListReport {
    pub(crate) distribution: String,
    pub(crate) items: usize,
    pub(crate) length: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct SubtaskReport {
    /// From 0.
    pub(crate) index: u16,
    pub(crate) state_length: u64,
    pub(crate) finished: bool,
    pub(crate) keyed: Vec<KeyedReport>,
}

#[derive(Debug, Serialize)]
pub(crate) struct KeyedReport {
    pub(crate) backend: String,
    pub(crate) first_key_group: u16,
    pub(crate) last_key_group: u16,
}

#[derive(Debug, Serialize)]
pub(crate) struct FileReport {
    /// As the metadata refers to it: relative to its directory, or a URI.
    pub(crate) reference: String,
    pub(crate) length: u64,
    pub(crate) digest: String,
    /// Whose state it holds.
    pub(crate) operator: String,
    pub(crate) status: FileStatus,
    /// What is wrong with it, for people to read.
    pub(crate) problem: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FileStatus {
    Ok,
    Missing,
    Damaged,
    Unreadable,
}

impl CheckpointReport {
    pub(crate) fn new(located: &LocatedCheckpoint, problems: &[FileProblem]) -> Self {
        let metadata = &located.metadata;
        let operators: Vec<_> = metadata.operators.iter().map(operator).collect();
        Self {
            path: located.uri(),
            job_id: metadata.job_id.to_string(),
            job_name: metadata.job_name.clone(),
            checkpoint: metadata.checkpoint.get(),
            attempt: metadata.attempt.get(),
            kind: match metadata.kind {
                SnapshotKind::Checkpoint => "checkpoint",
                SnapshotKind::Savepoint => "savepoint",
                SnapshotKind::Final => "final checkpoint",
            },
            created_at_ms: metadata.created_at_ms,
            state_length: metadata.state_length(),
            usable: problems.is_empty(),
            operators,
            files: files(&metadata.operators, problems),
            skipped: located.skipped.iter().map(ToString::to_string).collect(),
        }
    }
}

fn operator(operator: &OperatorState) -> OperatorReport {
    let subtasks = operator.subtasks.iter().map(|(index, state)| SubtaskReport {
        index: *index,
        state_length: state.length(),
        finished: state.finished,
        keyed: state.keyed.iter().map(keyed).collect(),
    });
    let subtasks: Vec<_> = subtasks.collect();
    OperatorReport {
        uid: operator.uid.to_string(),
        parallelism: operator.parallelism.get(),
        max_parallelism: operator.max_parallelism.get(),
        state_length: subtasks.iter().fold(0, |sum, s| sum.saturating_add(s.state_length)),
        finished_subtasks: subtasks.iter().filter(|subtask| subtask.finished).count(),
        states: states(operator),
        subtasks,
    }
}

fn keyed(handle: &tidegate_types::KeyedStateHandle) -> KeyedReport {
    KeyedReport {
        backend: handle.backend.to_string(),
        first_key_group: handle.key_groups.first().get(),
        last_key_group: handle.key_groups.last().get(),
    }
}

fn states(operator: &OperatorState) -> Vec<StateReport> {
    let mut lists: BTreeMap<Arc<str>, ListReport> = BTreeMap::new();
    for list in operator.subtasks.iter().flat_map(|(_, state)| &state.lists) {
        let report = lists.entry(Arc::clone(&list.name)).or_default();
        report.distribution = list.distribution.to_string();
        report.items += list.item_lengths.len();
        report.length = report.length.saturating_add(StateHandle::length(&list.items));
    }
    let mut states: Vec<StateReport> = operator
        .registered
        .iter()
        .map(|state| StateReport {
            name: state.name.to_string(),
            kind: state.kind.to_string(),
            types: state.types.to_string(),
            schema_version: state.schema_version,
            fingerprint: format!("{:016x}", state.fingerprint),
            list: lists.remove(&state.name),
        })
        .collect();
    // Lists of the runtime itself, such as source positions, are not registered.
    states.extend(lists.into_iter().map(|(name, list)| StateReport {
        name: name.to_string(),
        kind: tidegate_types::StateKind::OperatorList.to_string(),
        types: String::new(),
        schema_version: 0,
        fingerprint: String::new(),
        list: Some(list),
    }));
    states
}

fn files(operators: &[OperatorState], problems: &[FileProblem]) -> Vec<FileReport> {
    let faults: HashMap<&FileReference, &FileFault> =
        problems.iter().map(|problem| (&problem.reference, &problem.fault)).collect();
    let mut seen = HashSet::new();
    let mut files = Vec::new();
    for operator in operators {
        let of_operator = operator.subtasks.iter().flat_map(|(_, state)| state.files());
        for file in of_operator.filter(|file| seen.insert(*file)) {
            let fault = faults.get(&file.reference);
            files.push(FileReport {
                reference: file.reference.to_string(),
                length: file.length,
                digest: file.digest.to_string(),
                operator: operator.uid.to_string(),
                status: match fault {
                    None => FileStatus::Ok,
                    Some(FileFault::Missing) => FileStatus::Missing,
                    Some(FileFault::Length { .. } | FileFault::Digest { .. }) => {
                        FileStatus::Damaged
                    }
                    Some(_) => FileStatus::Unreadable,
                },
                problem: fault.map(ToString::to_string),
            });
        }
    }
    files
}
