//! Operator state as lists of byte strings: split positions and committables.

use tidegate_coordinator::{FileResolver, SubtaskRestore};

use crate::error::TaskError;

/// The items of a restored list, for this subtask; `None` when the operator had no such list.
pub(crate) fn restored_items(
    restore: &SubtaskRestore,
    resolver: &FileResolver,
    name: &str,
) -> Result<Option<Vec<Vec<u8>>>, TaskError> {
    let lists: Vec<_> = restore.lists.iter().filter(|list| &*list.name == name).collect();
    if lists.is_empty() {
        return Ok(None);
    }
    let read = |item| {
        let state = name.into();
        resolver.read_item(item).map_err(|fault| TaskError::RestoredFile { state, fault })
    };
    lists.iter().flat_map(|list| &list.items).map(read).collect::<Result<_, _>>().map(Some)
}
