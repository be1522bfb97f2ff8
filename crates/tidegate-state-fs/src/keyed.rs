//! The keyed state of one subtask: what is done on the task's thread. Nothing here takes longer the
//! more state there is.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_state::{
    Acceptance, CancelToken, Expiry, KeyedStateBackend, LayeredBackend, LayeredTable, SnapshotJob,
    StateBase, StateError, StateTable,
};
use tidegate_store::DataDirectory;
use tidegate_types::{CheckpointId, FileHandle, KeyGroupRange, RegisteredState, SnapshotKind};

use crate::FsStateConfig;
use crate::base::FsBase;
use crate::canonical;
use crate::compaction::{Merge, plan};
use crate::delta::Delta;
use crate::place::Place;
use crate::restore::Restored;
use crate::snapshot::FsSnapshot;
use crate::stack::Stack;
use crate::stored::{Part, Reused, Stored};
use crate::worker::{Shared, Worker};

pub(crate) struct FsKeyedState {
    place: Arc<Place>,
    config: FsStateConfig,
    data: Option<DataDirectory>,
    states: Vec<(RegisteredState, Box<dyn LayeredTable>)>,
    /// Restored states that nobody has registered so far: they stay where they are, so that an
    /// operator that leaves a state out for one run does not lose it.
    waiting: BTreeMap<Arc<str>, RegisteredState>,
    expiries: Arc<BTreeMap<Arc<str>, Expiry>>,
    stack: Stack,
    /// Of the newest freeze.
    epoch: u64,
    /// The newest checkpoint that was begun: what files are made for.
    checkpoint: CheckpointId,
    now_ms: i64,
    /// Up to which size the overlay may grow, if a spill has failed.
    patience: u64,
    /// Under which names the checkpoints whose fate is not known refer to segments.
    unsettled: BTreeMap<CheckpointId, Vec<Reused>>,
    shared: Arc<Shared>,
    worker: Worker,
}

impl FsKeyedState {
    pub(crate) fn new(
        place: Arc<Place>,
        config: FsStateConfig,
        data: Option<DataDirectory>,
        restored: Restored,
    ) -> Self {
        let Restored { parts, epoch, registered } = restored;
        let shared = Arc::new(Shared::default());
        let worker = Worker::new(Arc::clone(&place), Arc::clone(&shared));
        Self {
            place,
            config,
            data,
            states: Vec::new(),
            waiting: registered,
            expiries: Arc::default(),
            stack: Stack::new(parts),
            epoch,
            checkpoint: CheckpointId::FIRST,
            now_ms: 0,
            patience: config.overlay_max_bytes,
            unsettled: BTreeMap::new(),
            shared,
            worker,
        }
    }

    fn base(&self, state: &str) -> FsBase {
        FsBase::new(&self.place.context.operator, state, self.stack.parts().iter())
    }

    /// Takes up what others have written and merged.
    fn settle(&mut self) {
        let key_groups = self.place.context.key_groups;
        let settled = self.stack.settle(|stored| Part { stored, key_groups });
        let mut unused = Vec::new();
        let merged = self.shared.take_merged();
        let was_merged = !merged.is_empty();
        for merged in merged {
            unused.extend(self.stack.replace(merged));
        }
        if settled.is_empty() && !was_merged {
            return;
        }
        let epoch = settled.last().map_or(0, |delta| delta.epoch);
        for index in 0..self.states.len() {
            let base: Arc<dyn StateBase> = Arc::new(self.base(&self.states[index].0.name));
            let done = self.states[index].1.rebase(base, epoch);
            if !done.is_empty() {
                self.worker.drop_later(done);
            }
        }
        self.worker.drop_later((settled, unused));
        self.compact();
    }

    fn compact(&mut self) {
        if self.shared.is_merging() || !self.config.incremental {
            return;
        }
        let parts = self.stack.parts();
        let sizes: Vec<u64> = parts.iter().map(|part| part.stored.segment.length()).collect();
        let Some(run) = plan(&sizes, &self.config.compaction) else { return };
        let below = parts[..run.start].iter().map(|part| part.key_groups).collect();
        let merge = self.merge(parts[run].to_vec(), below);
        self.worker.merge(merge);
    }

    fn merge(&self, parts: Vec<Part>, below: Vec<KeyGroupRange>) -> Merge {
        let (checkpoint, now_ms) = (self.checkpoint, self.now_ms);
        Merge { parts, below, expiries: Arc::clone(&self.expiries), checkpoint, now_ms }
    }

    /// Swaps every overlay for an empty one.
    fn freeze(&mut self) -> Option<Arc<Delta>> {
        self.epoch += 1;
        let mut tables = Vec::new();
        for (state, table) in &mut self.states {
            if let Some(frozen) = table.freeze(self.epoch) {
                tables.push((state.clone(), frozen));
            }
        }
        if tables.is_empty() {
            return None;
        }
        let delta = Arc::new(Delta::new(self.epoch, tables));
        self.stack.push(Arc::clone(&delta));
        Some(delta)
    }

    /// The name under which a new checkpoint may refer to the segment: one that a complete
    /// checkpoint uses, and that will not be deleted before the new one is complete. What goes
    /// wrong without the second half:
    ///
    /// 1. checkpoint 1 has the segment as A; before the task hears that 1 is complete, it is asked
    ///    for 2, and names the segment B there;
    /// 2. the task hears that 1 is complete; 2 completes, 1 is subsumed, and A is deleted;
    /// 3. before the task hears of that, it is asked for 3, and refers to A.
    ///
    /// So every checkpoint in between, of which nothing is known, must use the same name.
    fn name_to_reuse(&self, stored: &Arc<Stored>) -> Option<FileHandle> {
        let (since, handle) = stored.confirmed()?;
        let uses_it = |named: &Vec<Reused>| {
            let named = named.iter().find(|(other, _)| Arc::ptr_eq(other, stored));
            named.is_some_and(|(_, name)| name.as_ref() == Some(&handle))
        };
        let mut between = self.unsettled.range(since.next()..).map(|(_, named)| named);
        between.all(uses_it).then_some(handle)
    }

    fn overlay_bytes(&self) -> u64 {
        self.states.iter().map(|(_, table)| table.overlay_bytes()).sum()
    }

    /// Keeps the overlay from growing without bound.
    fn spill(&mut self) {
        let (max, bytes) = (self.config.overlay_max_bytes, self.overlay_bytes());
        if self.shared.take_spill_failed() {
            // Written with the next checkpoint, or tried again when as much has come again.
            self.patience = bytes.saturating_add(max);
        }
        if bytes <= self.patience {
            return;
        }
        let busy = self.stack.deltas().last().filter(|delta| delta.written().is_none());
        if let Some(busy) = busy.map(Arc::clone) {
            if bytes <= self.patience.saturating_mul(2) {
                return;
            }
            // The background does not keep up: wait for it, or do its work.
            let written = busy.write(&self.place, self.checkpoint, &CancelToken::new());
            if written.is_err() {
                self.patience = bytes.saturating_add(max);
                return;
            }
            self.settle();
        }
        self.patience = max;
        if let Some(delta) = self.freeze() {
            self.worker.spill(delta, self.checkpoint);
        }
    }
}

impl LayeredBackend for FsKeyedState {
    fn register_layered(
        &mut self,
        state: &RegisteredState,
        expiry: Option<Expiry>,
        mut table: Box<dyn LayeredTable>,
    ) -> Result<(), StateError> {
        if let Some(found) = self.waiting.get(&state.name) {
            let acceptance = table.accept(found)?;
            table.restore(Arc::new(self.base(&state.name)));
            if acceptance == Acceptance::Migrates {
                let (base, groups) = (self.base(&state.name), self.place.context.key_groups);
                canonical::load(base, found, groups.iter(), &mut |group, entry| {
                    table.load(group, entry)
                })?;
            }
            self.waiting.remove(&state.name);
        }
        if let Some(expiry) = expiry {
            Arc::make_mut(&mut self.expiries).insert(Arc::clone(&state.name), expiry);
        }
        self.states.push((state.clone(), table));
        Ok(())
    }
}

impl KeyedStateBackend for FsKeyedState {
    fn register(&mut self, _: &RegisteredState, _: Box<dyn StateTable>) -> Result<(), StateError> {
        unreachable!("tables of a layered backend are registered as layered ones")
    }

    fn as_layered(&mut self) -> Option<&mut dyn LayeredBackend> {
        Some(self)
    }

    fn snapshot(
        &mut self,
        checkpoint: CheckpointId,
        kind: SnapshotKind,
    ) -> Result<Box<dyn SnapshotJob>, StateError> {
        self.settle();
        self.checkpoint = checkpoint;
        self.freeze();
        let states = self.states.iter().map(|(state, _)| state);
        let registered = states.chain(self.waiting.values()).cloned().collect();
        let exclusive = !self.config.incremental;
        let parts = self.stack.parts().iter();
        let named: Vec<_> = parts
            .map(|part| (Arc::clone(&part.stored), self.name_to_reuse(&part.stored)))
            .collect();
        if kind != SnapshotKind::Savepoint {
            self.unsettled.insert(checkpoint, named.clone());
        }
        Ok(Box::new(FsSnapshot {
            place: Arc::clone(&self.place),
            shared: Arc::clone(&self.shared),
            stack: self.stack.clone(),
            named,
            epoch: self.epoch,
            registered,
            kind,
            exclusive,
            whole: exclusive.then(|| self.merge(Vec::new(), Vec::new())),
            data: self.data.clone(),
        }))
    }

    fn maintain(&mut self, now_ms: i64) -> Result<(), StateError> {
        self.now_ms = now_ms;
        if self.shared.has_news() {
            self.settle();
        }
        self.spill();
        Ok(())
    }

    fn notify_complete(&mut self, checkpoint: CheckpointId) {
        let later = self.unsettled.split_off(&checkpoint.next());
        let settled = std::mem::replace(&mut self.unsettled, later);
        self.worker.drop_later((settled, self.shared.confirm(checkpoint)));
    }

    fn notify_aborted(&mut self, checkpoint: CheckpointId) {
        let settled = self.unsettled.remove(&checkpoint);
        self.worker.drop_later((settled, self.shared.abort(checkpoint)));
    }
}
