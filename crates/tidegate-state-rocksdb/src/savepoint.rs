//! The long part of a savepoint: the snapshot's files are opened for reading, and their rows go into
//! the canonical form.

use std::sync::Arc;

use tidegate_state::{
    CancelToken, CanonicalSnapshot, Expiry, FrozenTable, RowSource, RowVisitor, SnapshotJob,
    SnapshotResult, SnapshotTarget, StateError, StoredEntries,
};
use tidegate_types::RegisteredState;

use crate::database::{Access, Database};
use crate::place::{Place, WorkingDirectory};
use crate::restore::family_of;

pub(crate) struct Savepoint {
    pub(crate) place: Arc<Place>,
    pub(crate) directory: WorkingDirectory,
    pub(crate) states: Vec<(RegisteredState, Option<Expiry>)>,
    /// The time at the barrier, by which values have expired.
    pub(crate) now_ms: i64,
}

/// A column family of the snapshot.
#[derive(Debug)]
struct Frozen {
    database: Arc<Database>,
    family: String,
}

impl RowSource for Frozen {
    fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut RowVisitor<'_>,
    ) -> Result<(), StateError> {
        self.database.scan(&self.family, from, to, visit)
    }
}

impl SnapshotJob for Savepoint {
    fn run(
        self: Box<Self>,
        target: &SnapshotTarget<'_>,
        cancel: &CancelToken,
    ) -> Result<SnapshotResult, StateError> {
        cancel.check()?;
        let path = self.directory.path();
        let database = Database::open(path, &self.place.tuning, Access::ReadOnly);
        let database = Arc::new(database.map_err(|error| self.place.failed(error))?);
        let states = self.states.iter().map(|(state, expiry)| {
            let rows = Frozen { database: Arc::clone(&database), family: family_of(&state.name) };
            let operator = self.place.context.operator.clone();
            let expiry = expiry.map(|expiry| (expiry, self.now_ms));
            let entries = StoredEntries { operator, state: state.clone(), rows, expiry };
            (state.clone(), Box::new(entries) as Box<dyn FrozenTable>)
        });
        let snapshot = CanonicalSnapshot::new(&self.place.context, states.collect());
        Box::new(snapshot).run(target, cancel)
    }
}
