//! What a checkpoint holds of one operator and of each of its subtasks.
//!
//! Everything that depends on the number of subtasks, processes or machines is kept per subtask,
//! so that a checkpoint does not know how many of them wrote it.

use std::fmt;
use std::sync::Arc;

use crate::{FileHandle, KeyGroupRange, MaxParallelism, OperatorUid, Parallelism, StateHandle};

/// The state of one operator: of all its subtasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorState {
    /// Under which name the operator finds its state again.
    pub uid: OperatorUid,
    /// How many subtasks wrote it.
    pub parallelism: Parallelism,
    /// How many key groups there are.
    pub max_parallelism: MaxParallelism,
    /// The states that the operator registered.
    pub registered: Vec<RegisteredState>,
    /// The subtasks that hold state, by ascending index, each below `parallelism`.
    pub subtasks: Vec<(u16, SubtaskState)>,
}

/// The state of one subtask of one operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubtaskState {
    /// Keyed state, in the backend's own form. More than one after a claim of foreign state.
    pub keyed: Vec<KeyedStateHandle>,
    /// Operator state: lists of items, source positions and committables among them.
    pub lists: Vec<ListStateHandle>,
    /// Records that were in flight (unaligned checkpoints only).
    pub channels: Vec<ChannelStateHandle>,
    /// Whether the subtask had processed all of its input and closed.
    pub finished: bool,
}

impl SubtaskState {
    /// Every file that this state refers to.
    pub fn files(&self) -> impl Iterator<Item = &FileHandle> {
        let keyed = self.keyed.iter().flat_map(|keyed| {
            keyed.manifest.file().into_iter().chain(keyed.shared.iter().map(|shared| &shared.file))
        });
        keyed
            .chain(self.lists.iter().filter_map(|list| list.items.file()))
            .chain(self.channels.iter().filter_map(|channel| channel.records.file()))
    }

    /// The bytes of all state in it, shared files included; at most 2^64 - 1, since the lengths of
    /// files may have been read from anywhere.
    #[must_use]
    pub fn length(&self) -> u64 {
        let keyed = self.keyed.iter().flat_map(|keyed| {
            let shared = keyed.shared.iter().map(|shared| shared.file.length);
            shared.chain([keyed.manifest.length()])
        });
        let lists = self.lists.iter().map(|list| list.items.length());
        let channels = self.channels.iter().map(|channel| channel.records.length());
        keyed.chain(lists).chain(channels).fold(0, u64::saturating_add)
    }
}

/// Which backend's form keyed state has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BackendKind {
    /// The canonical, backend-neutral form of savepoints, and what the memory backend writes.
    Canonical,
    /// Segments of the fs backend.
    Fs,
    /// Table files of the RocksDB backend.
    RocksDb,
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Canonical => "canonical",
            Self::Fs => "fs",
            Self::RocksDb => "rocksdb",
        })
    }
}

/// Keyed state of a range of key groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedStateHandle {
    /// Whose form it has.
    pub backend: BackendKind,
    /// The key groups that it covers.
    pub key_groups: KeyGroupRange,
    /// What the backend needs to read it: the state itself, or a list of what is in `shared`.
    pub manifest: StateHandle,
    /// Files that other checkpoints may use too. None for the canonical form.
    pub shared: Vec<SharedFile>,
}

/// A file that several checkpoints may use, owned through the shared-state registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedFile {
    /// The backend's name for the file within the manifest.
    pub name: Arc<str>,
    /// The file.
    pub file: FileHandle,
}

/// How the items of an operator's list state are dealt out to the subtasks on restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Distribution {
    /// Each item goes to one subtask.
    Split,
    /// Every subtask gets all items of all subtasks.
    Union,
    /// All subtasks hold the same items; each gets them once.
    Broadcast,
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Split => "split",
            Self::Union => "union",
            Self::Broadcast => "broadcast",
        })
    }
}

/// Operator state: a named list of items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListStateHandle {
    /// The name of the state.
    pub name: Arc<str>,
    /// How its items are dealt out.
    pub distribution: Distribution,
    /// The length of each item in bytes; their sum is the length of `items`.
    pub item_lengths: Vec<u32>,
    /// The items' bytes, one behind the other.
    pub items: StateHandle,
}

/// Which side of a task in-flight records were on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChannelKind {
    /// Received and not yet processed.
    Input,
    /// Emitted and not yet sent.
    Output,
}

/// Records that were in flight in one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelStateHandle {
    /// Which side of the task.
    pub kind: ChannelKind,
    /// The gate (input) or partition (output), from 0.
    pub gate: u16,
    /// The channel of it, from 0.
    pub channel: u16,
    /// The length of each record in bytes; their sum is the length of `records`.
    pub record_lengths: Vec<u32>,
    /// The records' bytes, in order.
    pub records: StateHandle,
}

/// What shape a state has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StateKind {
    /// One value a key.
    Value,
    /// A list of values a key.
    List,
    /// A map a key.
    Map,
    /// One value a key, combined with each addition.
    Reducing,
    /// One accumulator a key, to which inputs are added.
    Aggregating,
    /// Timers of the operator.
    Timer,
    /// Operator state.
    OperatorList,
}

impl fmt::Display for StateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Value => "value",
            Self::List => "list",
            Self::Map => "map",
            Self::Reducing => "reducing",
            Self::Aggregating => "aggregating",
            Self::Timer => "timer",
            Self::OperatorList => "operator list",
        })
    }
}

/// A state as an operator registered it: what a restored operator must agree with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredState {
    /// The name, unique within the operator.
    pub name: Arc<str>,
    /// The shape.
    pub kind: StateKind,
    /// A fingerprint of the types' names and sizes (docs/format.md, "Fingerprints").
    pub fingerprint: u64,
    /// The version that the job's author gave the schema; 0 unless said otherwise.
    pub schema_version: u32,
    /// The types for people to read, such as `String -> u64`.
    pub types: Arc<str>,
}

#[test]
fn lengths_that_nothing_can_have_do_not_overflow() {
    use crate::{Digest, FileReference, KeyGroup};
    let file = |length| {
        let reference = FileReference::in_job("shared/a").expect("a plain name");
        FileHandle { reference, length, digest: Digest::of(b"") }
    };
    let shared = SharedFile { name: "a".into(), file: file(u64::MAX) };
    let keyed = KeyedStateHandle {
        backend: BackendKind::Fs,
        key_groups: KeyGroupRange::new(KeyGroup::new(0), KeyGroup::new(1)).expect("ascending"),
        manifest: StateHandle::File(file(1)),
        shared: vec![shared],
    };
    let state = SubtaskState { keyed: vec![keyed], ..SubtaskState::default() };
    assert_eq!(state.length(), u64::MAX);
    let small = ListStateHandle {
        name: "splits".into(),
        distribution: Distribution::Split,
        item_lengths: vec![2],
        items: StateHandle::Inline([1, 2].as_slice().into()),
    };
    let state = SubtaskState { lists: vec![small.clone(), small], ..SubtaskState::default() };
    assert_eq!(state.length(), 4);
}
