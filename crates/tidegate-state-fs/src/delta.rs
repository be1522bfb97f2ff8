//! A frozen overlay of all states: written once, by whoever comes first.
//!
//! Invariant: once `written` has a segment, it has everything of the frozen overlays. A failed
//! attempt leaves no file and changes nothing, and the next one who needs the delta tries again.

use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use tidegate_segment::{Change, KeyedEntry, TimerEntry};
use tidegate_state::{CancelToken, FrozenOverlay, LayerChange, LayerEntry, StateError};
use tidegate_types::{CheckpointId, RegisteredState};

use crate::place::Place;
use crate::stored::Stored;

/// How many entries are written between two looks at the cancellation.
const STEP: u32 = 1024;

pub(crate) struct Delta {
    pub(crate) epoch: u64,
    pub(crate) tables: Vec<(RegisteredState, Arc<dyn FrozenOverlay>)>,
    written: Mutex<Option<Arc<Stored>>>,
}

impl Delta {
    pub(crate) fn new(epoch: u64, tables: Vec<(RegisteredState, Arc<dyn FrozenOverlay>)>) -> Self {
        Self { epoch, tables, written: Mutex::default() }
    }

    /// The segment, if it is written. Does not wait for one that is being written.
    pub(crate) fn written(&self) -> Option<Arc<Stored>> {
        match self.written.try_lock() {
            Ok(written) => written.clone(),
            Err(TryLockError::Poisoned(written)) => written.into_inner().clone(),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Writes the segment, or waits for whoever is writing it.
    pub(crate) fn write(
        &self,
        place: &Place,
        checkpoint: CheckpointId,
        cancel: &CancelToken,
    ) -> Result<Arc<Stored>, StateError> {
        // A panic while it was held has left it empty.
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stored) = &*written {
            return Ok(Arc::clone(stored));
        }
        cancel.check()?;
        let stored = place.write(checkpoint, |writer| {
            let mut steps = 0;
            for (state, frozen) in &self.tables {
                place.written(writer.begin_state(state))?;
                frozen.write(&mut |entry| {
                    steps += 1;
                    if steps % STEP == 0 {
                        cancel.check()?;
                    }
                    place.written(match entry {
                        LayerEntry::Keyed { hash, key, change: LayerChange::Put(value) } => {
                            writer.put(hash, key, value)
                        }
                        LayerEntry::Keyed { hash, key, change } => {
                            writer.write(&KeyedEntry { hash, key, change: change_of(change) })
                        }
                        LayerEntry::Timer { time_ms, hash, key, is_deleted } => {
                            let is_tombstone = is_deleted;
                            writer.write_timer(&TimerEntry { time_ms, hash, key, is_tombstone })
                        }
                    })
                })?;
            }
            Ok(())
        })?;
        *written = Some(Arc::clone(&stored));
        Ok(stored)
    }
}

fn change_of(change: LayerChange<'_>) -> Change<'_> {
    match change {
        LayerChange::Put(value) => Change::Put(value),
        LayerChange::Delete => Change::Delete,
        LayerChange::PutEntry { map_key, value } => Change::PutEntry { map_key, value },
        LayerChange::DeleteEntry { map_key } => Change::DeleteEntry { map_key },
    }
}
