//! Checkpoints that were given up while something of them may still appear in the storage.
//!
//! A subtask that has not reported yet may be writing; an acknowledgement that comes late names
//! what is to be deleted. Of a publication with an unknown outcome the metadata may turn up.

use std::collections::BTreeMap;

use tidegate_types::CheckpointId;

/// How many are remembered. What is left of older ones is found when the directory is next owned.
const REMEMBERED: usize = 128;

#[derive(Clone, Debug, Default)]
pub(crate) struct AbortedCheckpoints {
    checkpoints: BTreeMap<CheckpointId, Aborted>,
}

#[derive(Clone, Debug)]
struct Aborted {
    // By the position of the subtask in the topology.
    reported: Vec<bool>,
    in_doubt: bool,
}

impl Aborted {
    fn is_settled(&self) -> bool {
        !self.in_doubt && self.reported.iter().all(|reported| *reported)
    }
}

impl AbortedCheckpoints {
    pub(crate) fn add(&mut self, checkpoint: CheckpointId, reported: Vec<bool>) {
        self.insert(checkpoint, Aborted { reported, in_doubt: false });
    }

    /// All subtasks have reported, but the metadata may have been published.
    pub(crate) fn add_in_doubt(&mut self, checkpoint: CheckpointId) {
        self.insert(checkpoint, Aborted { reported: Vec::new(), in_doubt: true });
    }

    fn insert(&mut self, checkpoint: CheckpointId, aborted: Aborted) {
        if !aborted.is_settled() {
            self.checkpoints.insert(checkpoint, aborted);
        }
        if self.checkpoints.len() > REMEMBERED {
            self.checkpoints.pop_first();
        }
    }

    /// A subtask has reported late. Whether that was still awaited.
    pub(crate) fn report(&mut self, checkpoint: CheckpointId, position: usize) -> bool {
        let Some(aborted) = self.checkpoints.get_mut(&checkpoint) else { return false };
        let Some(reported) = aborted.reported.get_mut(position) else { return false };
        let awaited = !std::mem::replace(reported, true);
        if aborted.is_settled() {
            self.checkpoints.remove(&checkpoint);
        }
        awaited
    }

    /// All of which something may still appear.
    pub(crate) fn ids(&self) -> impl Iterator<Item = CheckpointId> {
        self.checkpoints.keys().copied()
    }
}
