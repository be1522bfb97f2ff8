//! Operator state as lists of byte strings: split positions and committables.

use tidegate_coordinator::{FileResolver, SubtaskRestore};
use tidegate_meta::CheckpointMetadata;
use tidegate_types::{OperatorUid, StateHandle};

use crate::error::TaskError;

/// The items of a restored list, for this subtask.
pub(crate) fn restored_items(
    restore: &SubtaskRestore,
    resolver: &FileResolver,
    name: &str,
) -> Result<Vec<Vec<u8>>, TaskError> {
    let lists = restore.lists.iter().filter(|list| &*list.name == name);
    let items = lists.flat_map(|list| &list.items);
    let read = |item| {
        let state = name.into();
        resolver.read_item(item).map_err(|fault| TaskError::RestoredFile { state, fault })
    };
    items.map(read).collect()
}

/// The items of a list of all subtasks of an operator. Lists lie in the metadata itself.
pub(crate) fn all_items(
    metadata: &CheckpointMetadata,
    uid: &OperatorUid,
    name: &str,
) -> Vec<Vec<u8>> {
    let operator = metadata.operators.iter().find(|operator| operator.uid == *uid);
    let subtasks = operator.into_iter().flat_map(|operator| &operator.subtasks);
    let lists = subtasks.flat_map(|(_, state)| &state.lists).filter(|list| &*list.name == name);
    let mut items = Vec::new();
    for list in lists {
        let StateHandle::Inline(bytes) = &list.items else { continue };
        let mut rest = &**bytes;
        for length in &list.item_lengths {
            let (item, tail) = rest.split_at(*length as usize);
            items.push(item.to_vec());
            rest = tail;
        }
    }
    items
}
