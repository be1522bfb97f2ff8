//! What the segments hold of one state: the newest that says something is right.

use std::ops::ControlFlow;
use std::sync::Arc;

use tidegate_segment::{
    Change, KeyedEntry, Lookup, MergedEntries, MergedTimers, StateNumber, Tombstones,
};
use tidegate_state::{BaseVisitor, KeyAt, StateBase, StateError};
use tidegate_types::{KeyGroup, KeyGroupRange, OperatorUid};

use crate::error::files;
use crate::stored::{Part, Stored};

#[derive(Debug)]
pub(crate) struct FsBase {
    operator: OperatorUid,
    /// Newest first.
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    stored: Arc<Stored>,
    state: StateNumber,
    key_groups: KeyGroupRange,
}

impl FsBase {
    /// Of the state with this name, in parts given oldest first.
    pub(crate) fn new<'p>(
        operator: &OperatorUid,
        state: &str,
        parts: impl DoubleEndedIterator<Item = &'p Part>,
    ) -> Self {
        let layer = |part: &Part| {
            let stored = Arc::clone(&part.stored);
            let state = stored.segment.state(state)?;
            Some(Layer { stored, state, key_groups: part.key_groups })
        };
        Self { operator: operator.clone(), layers: parts.rev().filter_map(layer).collect() }
    }

    fn of(&self, group: KeyGroup) -> impl Iterator<Item = &Layer> {
        self.layers.iter().filter(move |layer| layer.key_groups.contains(group))
    }

    fn failed(&self, error: tidegate_segment::SegmentError) -> StateError {
        files(&self.operator, error)
    }

    /// Everything of a key group that is not gone, in order.
    pub(crate) fn merged(
        &self,
        group: KeyGroup,
    ) -> impl Iterator<Item = Result<KeyedEntry<'_>, StateError>> {
        let streams = self.of(group).map(|layer| layer.stored.segment.entries(layer.state, group));
        let merged = MergedEntries::new(streams, Tombstones::Drop);
        merged.map(|entry| entry.map_err(|error| self.failed(error)))
    }
}

impl StateBase for FsBase {
    fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    fn get(&self, at: KeyAt<'_>) -> Result<Option<&[u8]>, StateError> {
        for layer in &self.layers {
            if !layer.key_groups.contains(at.group) {
                continue;
            }
            let found = layer.stored.segment.get(layer.state, at.hash, at.bytes);
            match found.map_err(|error| self.failed(error))? {
                Lookup::Found(value) => return Ok(Some(value)),
                Lookup::Tombstone => return Ok(None),
                Lookup::Absent => {}
            }
        }
        Ok(None)
    }

    fn get_entry(&self, at: KeyAt<'_>, map_key: &[u8]) -> Result<Option<&[u8]>, StateError> {
        for layer in self.of(at.group) {
            let found = layer.stored.segment.get_entry(layer.state, at.hash, at.bytes, map_key);
            match found.map_err(|error| self.failed(error))? {
                Lookup::Found(value) => return Ok(Some(value)),
                Lookup::Tombstone => return Ok(None),
                Lookup::Absent => {}
            }
        }
        Ok(None)
    }

    fn entries_of_key<'a>(
        &'a self,
        at: KeyAt<'_>,
        visit: &mut dyn FnMut(&'a [u8], &'a [u8]) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let mut streams = Vec::new();
        for layer in self.of(at.group) {
            let entries = layer.stored.segment.entries_of_key(layer.state, at.hash, at.bytes);
            streams.push(entries.map_err(|error| self.failed(error))?);
        }
        for entry in MergedEntries::new(streams, Tombstones::Drop) {
            let entry = entry.map_err(|error| self.failed(error))?;
            if let Change::PutEntry { map_key, value } = entry.change {
                visit(map_key, value)?;
            }
        }
        Ok(())
    }

    fn entries<'a>(
        &'a self,
        group: KeyGroup,
        visit: &mut BaseVisitor<'a, '_>,
    ) -> Result<(), StateError> {
        for entry in self.merged(group) {
            let KeyedEntry { hash, key, change } = entry?;
            if let Some(value) = change.value() {
                visit(hash, key, change.map_key(), value)?;
            }
        }
        Ok(())
    }

    fn has_timer(&self, time_ms: i64, at: KeyAt<'_>) -> Result<bool, StateError> {
        for layer in self.of(at.group) {
            let found = layer.stored.segment.timer(layer.state, time_ms, at.hash, at.bytes);
            match found.map_err(|error| self.failed(error))? {
                Lookup::Found(_) => return Ok(true),
                Lookup::Tombstone => return Ok(false),
                Lookup::Absent => {}
            }
        }
        Ok(false)
    }

    fn timers(
        &self,
        group: KeyGroup,
        from_ms: i64,
        visit: &mut dyn FnMut(i64, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), StateError> {
        let layers = self.of(group);
        let streams = layers.map(|layer| layer.stored.segment.timers(layer.state, group, from_ms));
        for timer in MergedTimers::new(streams, Tombstones::Drop) {
            let timer = timer.map_err(|error| self.failed(error))?;
            if visit(timer.time_ms, timer.key).is_break() {
                return Ok(());
            }
        }
        Ok(())
    }
}
