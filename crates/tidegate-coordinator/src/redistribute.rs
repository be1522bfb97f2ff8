//! Dealing the items of operator state out to any number of subtasks.

use std::sync::Arc;

use tidegate_types::{Distribution, ListStateHandle, Parallelism, StateHandle, Subtask};

/// A list of operator state, as one subtask gets it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoredList {
    /// The name of the state.
    pub name: Arc<str>,
    /// How its items were dealt out.
    pub distribution: Distribution,
    /// The items of this subtask; there may be none.
    pub items: Vec<RestoredItem>,
}

/// One item of a list: a range of a piece of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoredItem {
    state: StateHandle,
    offset: u64,
    length: u32,
}

impl RestoredItem {
    /// The state that holds it among others.
    #[must_use]
    pub fn state(&self) -> &StateHandle {
        &self.state
    }

    /// Where in the state it begins, in bytes.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Its length in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length as usize
    }

    /// Its bytes, unless they lie in a file
    /// ([`FileResolver::read_item`](crate::FileResolver::read_item) reads them there).
    ///
    /// # Panics
    ///
    /// When the item's range is not in the state, which [`tidegate_meta`] has checked.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.state {
            StateHandle::Inline(bytes) => {
                let start = usize::try_from(self.offset).expect("in memory");
                Some(&bytes[start..start + self.length()])
            }
            _ => None,
        }
    }
}

/// What the list handles of all former subtasks, by ascending index, are to `subtask` now.
pub(crate) fn deal(
    name: &Arc<str>,
    distribution: Distribution,
    former: Parallelism,
    parts: &[(u16, &ListStateHandle)],
    subtask: Subtask,
) -> RestoredList {
    let all = || parts.iter().flat_map(|(_, handle)| items(handle));
    let items = match distribution {
        // Unchanged parallelism changes nothing, so that a source finds its own splits again.
        Distribution::Split if former == subtask.parallelism() => {
            let own = parts.iter().filter(|(index, _)| *index == subtask.index());
            own.flat_map(|(_, handle)| items(handle)).collect()
        }
        Distribution::Split => {
            let width = usize::from(subtask.parallelism().get());
            all().skip(usize::from(subtask.index())).step_by(width).collect()
        }
        // Every former subtask held the same; any copy will do.
        Distribution::Broadcast => {
            parts.first().into_iter().flat_map(|(_, handle)| items(handle)).collect()
        }
        // Also for a distribution that is not known here: more than enough, and nothing lost.
        _ => all().collect(),
    };
    RestoredList { name: Arc::clone(name), distribution, items }
}

fn items(handle: &ListStateHandle) -> impl Iterator<Item = RestoredItem> {
    handle.item_lengths.iter().scan(0_u64, |end, length| {
        let offset = *end;
        *end += u64::from(*length);
        Some(RestoredItem { state: handle.items.clone(), offset, length: *length })
    })
}
