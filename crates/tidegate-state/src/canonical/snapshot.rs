//! The long part of a savepoint, the same for every backend.

use tidegate_types::{BackendKind, KeyedStateHandle, RegisteredState};
use xxhash_rust::xxh3::xxh3_64;

use super::CanonicalWriter;
use super::spill::Spill;
use crate::backend::{FrozenTable, KeyedContext};
use crate::{CancelToken, SnapshotJob, SnapshotResult, SnapshotTarget, StateError};

/// Writes frozen tables in the canonical form: what a backend answers to
/// [`SnapshotKind::Savepoint`](tidegate_types::SnapshotKind) with.
///
/// The state goes as a stream into one file beside the metadata; only a few KiB go into the
/// metadata itself.
pub struct CanonicalSnapshot {
    context: KeyedContext,
    states: Vec<(RegisteredState, Box<dyn FrozenTable>)>,
}

impl CanonicalSnapshot {
    /// Of these states of one subtask.
    #[must_use]
    pub fn new(
        context: &KeyedContext,
        states: Vec<(RegisteredState, Box<dyn FrozenTable>)>,
    ) -> Self {
        Self { context: context.clone(), states }
    }

    /// A name that no other subtask, operator or attempt gives, and that tells people whose it is.
    fn file_name(&self, target: &SnapshotTarget<'_>) -> String {
        let uid = self.context.operator.as_str();
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let shown: String = uid.chars().map(plain).take(40).collect();
        let (subtask, attempt) = (self.context.subtask.index(), target.attempt);
        format!("keyed-{shown}-{:08x}-{subtask}-{attempt}", xxh3_64(uid.as_bytes()) >> 32)
    }
}

impl SnapshotJob for CanonicalSnapshot {
    fn run(
        self: Box<Self>,
        target: &SnapshotTarget<'_>,
        cancel: &CancelToken,
    ) -> Result<SnapshotResult, StateError> {
        let key_groups = self.context.key_groups;
        let registered: Vec<_> = self.states.iter().map(|(state, _)| state.clone()).collect();
        let spill = Spill::new(target.storage, target.exclusive, self.file_name(target));
        let mut writer = CanonicalWriter::new(spill, key_groups, &registered)?;
        for group in key_groups.iter() {
            for (number, (_, table)) in self.states.iter().enumerate() {
                writer.write(group, number, &**table, cancel)?;
            }
        }
        let manifest = writer.finish()?.finish()?;
        let handle = KeyedStateHandle {
            backend: BackendKind::Canonical,
            key_groups,
            manifest,
            shared: Vec::new(),
        };
        Ok(SnapshotResult { keyed: vec![handle], registered })
    }
}

impl std::fmt::Debug for CanonicalSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CanonicalSnapshot").field("context", &self.context).finish_non_exhaustive()
    }
}
