//! The keyed state of one subtask: what is done on the task's thread.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tidegate_state::{
    Acceptance, CancelToken, Expiry, KeyedStateBackend, RowSource, RowStore, RowVisitor,
    SnapshotJob, SnapshotResult, SnapshotTarget, StateError, StateTable, StoredBackend,
    StoredSchema, ValueVisitor,
};
use tidegate_store::CheckpointStorage;
use tidegate_types::{CheckpointId, RegisteredState, SnapshotKind};

use crate::database::Database;
use crate::known::{Known, Offers};
use crate::place::{Place, WorkingDirectory};
use crate::restore::{Restored, family_of};
use crate::savepoint::Savepoint;
use crate::snapshot::RocksDbSnapshot;

pub(crate) struct RocksDbKeyedState {
    // The order matters: the database is closed before its directory is deleted.
    database: Rc<Database>,
    directory: Rc<WorkingDirectory>,
    place: Arc<Place>,
    data: Option<Arc<dyn CheckpointStorage>>,
    states: Vec<(RegisteredState, Option<Expiry>)>,
    /// Restored states that nobody has registered so far: they stay where they are, so that an
    /// operator that leaves a state out for one run does not lose it.
    waiting: BTreeMap<Arc<str>, RegisteredState>,
    /// What had expired by this time is not there, though its rows may be.
    expired_by_ms: i64,
    known: Arc<Known>,
    offers: Offers,
}

impl RocksDbKeyedState {
    pub(crate) fn new(
        place: Arc<Place>,
        data: Option<Arc<dyn CheckpointStorage>>,
        known: Known,
        restored: Restored,
    ) -> Self {
        let Restored { database, directory, registered, named, expired_by_ms } = restored;
        let incremental = place.tuning.config.incremental;
        Self {
            database: Rc::new(database),
            directory: Rc::new(directory),
            place,
            data,
            states: Vec::new(),
            waiting: registered,
            expired_by_ms,
            known: Arc::new(known),
            // Whole checkpoints share nothing.
            offers: if incremental { Offers::restored(named) } else { Offers::default() },
        }
    }

    /// Turns every row of a restored state into what its table would write.
    fn migrate(&self, family: &str, schema: &dyn StoredSchema) -> Result<(), StateError> {
        // What is shown does not change by what is written meanwhile.
        self.database.scan(family, &[], None, &mut |key, value| {
            self.database.put(family, key, &schema.migrate(value)?)?;
            Ok(ControlFlow::Continue(()))
        })
    }
}

/// A snapshot that could not be made.
struct Declined(StateError);

impl SnapshotJob for Declined {
    fn run(
        self: Box<Self>,
        _: &SnapshotTarget<'_>,
        _: &CancelToken,
    ) -> Result<SnapshotResult, StateError> {
        Err(self.0)
    }
}

/// One state: a column family.
#[derive(Debug)]
struct Family {
    // The order matters, as above: a table may outlive its backend.
    database: Rc<Database>,
    _directory: Rc<WorkingDirectory>,
    name: String,
    /// What had expired by this time is not shown.
    hidden: Option<(Expiry, i64)>,
}

impl RowSource for Family {
    fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut RowVisitor<'_>,
    ) -> Result<(), StateError> {
        let Some((expiry, time_ms)) = self.hidden else {
            return self.database.scan(&self.name, from, to, visit);
        };
        self.database.scan(
            &self.name,
            from,
            to,
            &mut |key, value| match expiry.live(value, time_ms) {
                Some(live) => visit(key, &live),
                None => Ok(ControlFlow::Continue(())),
            },
        )
    }
}

impl RowStore for Family {
    fn get(&self, key: &[u8], show: &mut ValueVisitor<'_>) -> Result<(), StateError> {
        let Some((expiry, time_ms)) = self.hidden else {
            return self.database.get(&self.name, key, show);
        };
        self.database.get(&self.name, key, &mut |value| {
            show(value.and_then(|value| expiry.live(value, time_ms)).as_deref())
        })
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), StateError> {
        self.database.put(&self.name, key, value)
    }

    fn append(&self, key: &[u8], bytes: &[u8]) -> Result<(), StateError> {
        self.database.append(&self.name, key, bytes)
    }

    fn delete(&self, key: &[u8]) -> Result<(), StateError> {
        self.database.delete(&self.name, key)
    }
}

impl StoredBackend for RocksDbKeyedState {
    fn register_stored(
        &mut self,
        state: &RegisteredState,
        expiry: Option<Expiry>,
        schema: &mut dyn StoredSchema,
    ) -> Result<Rc<dyn RowStore>, StateError> {
        let name = family_of(&state.name);
        let found = self.waiting.get(&state.name).map(|found| schema.accept(found)).transpose()?;
        let created = self.database.create_family(&name);
        created.map_err(|error| self.place.failed(error))?;
        if found == Some(Acceptance::Migrates) {
            self.migrate(&name, schema)?;
        }
        self.waiting.remove(&state.name);
        if let Some(expiry) = expiry {
            self.database.expire(&name, expiry);
        }
        self.states.push((state.clone(), expiry));
        let (database, directory) = (Rc::clone(&self.database), Rc::clone(&self.directory));
        let hidden = expiry.map(|expiry| (expiry, self.expired_by_ms));
        let hidden = hidden.filter(|(_, time_ms)| *time_ms != i64::MIN);
        Ok(Rc::new(Family { database, _directory: directory, name, hidden }))
    }
}

impl KeyedStateBackend for RocksDbKeyedState {
    fn register(&mut self, _: &RegisteredState, _: Box<dyn StateTable>) -> Result<(), StateError> {
        unreachable!("tables of a backend that is a store are registered as such")
    }

    fn as_stored(&mut self) -> Option<&mut dyn StoredBackend> {
        Some(self)
    }

    fn snapshot(
        &mut self,
        checkpoint: CheckpointId,
        kind: SnapshotKind,
    ) -> Result<Box<dyn SnapshotJob>, StateError> {
        let directory = self.place.reserve()?;
        if let Err(error) = self.database.checkpoint(directory.path()) {
            // The checkpoint is declined, not the task failed: there may be space for the next one.
            return Ok(Box::new(Declined(self.place.failed(error))));
        }
        let place = Arc::clone(&self.place);
        let now_ms = self.place.tuning.now_ms.load(Ordering::Relaxed).max(self.expired_by_ms);
        if kind == SnapshotKind::Savepoint {
            let waiting = self.waiting.values().map(|state| (state.clone(), None));
            let states = self.states.iter().cloned().chain(waiting).collect();
            return Ok(Box::new(Savepoint { place, directory, states, now_ms }));
        }
        let states = self.states.iter().map(|(state, _)| state);
        Ok(Box::new(RocksDbSnapshot {
            place,
            known: Arc::clone(&self.known),
            directory,
            offer: self.offers.offer(checkpoint),
            registered: states.chain(self.waiting.values()).cloned().collect(),
            now_ms,
            data: self.data.clone(),
        }))
    }

    fn maintain(&mut self, now_ms: i64) -> Result<(), StateError> {
        self.place.tuning.now_ms.store(now_ms, Ordering::Relaxed);
        Ok(())
    }

    fn notify_complete(&mut self, checkpoint: CheckpointId) {
        self.offers.complete(checkpoint, &self.known);
    }

    fn notify_aborted(&mut self, checkpoint: CheckpointId) {
        self.offers.abort(checkpoint, &self.known);
    }
}
