//! The contract between tables of bytes and a backend that keeps them in a sorted store.
//!
//! ```text
//! ValueState<V> …  ──▶  StoredTable (this crate: rows of bytes)  ──get, put, scan──▶  RowStore (the backend)
//! ```
//!
//! A backend that is itself a database gives out [`StoredBackend`]: every read and write goes to it
//! at once, and nothing of the state is kept beside it. What its rows look like is decided here, in
//! `rows`, and the same for every such backend.

mod export;
mod import;
mod list;
mod map;
pub(crate) mod rows;
mod timers;
mod value;

pub use export::StoredEntries;
pub use import::import_rows;
pub use rows::group_prefix;
pub(crate) use timers::{StoredTimers, TimerSchema};

use std::cell::Cell;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::rc::Rc;

use tidegate_types::{KeyGroup, RegisteredState, StateKey, StateKind};

use crate::backend::Acceptance;
use crate::layer::Expiry;
use crate::schema::Schema;
use crate::slot::{Decode, ItemReader, ItemWriter};
use crate::table::{Placed, StateKeys};
use crate::{StateError, StateValue};

/// The part of a backend that tables of bytes are registered with.
pub trait StoredBackend {
    /// Takes on a state: what was restored under its name is accepted and, if it must be, migrated;
    /// from now on it is in every snapshot.
    ///
    /// # Errors
    ///
    /// [`StateError::Incompatible`] when the table does not accept what was restored.
    fn register_stored(
        &mut self,
        state: &RegisteredState,
        expiry: Option<Expiry>,
        schema: &mut dyn StoredSchema,
    ) -> Result<Rc<dyn RowStore>, StateError>;
}

/// What a table says of its rows before the first use.
pub trait StoredSchema {
    /// Says how what was restored under the table's name can be taken on; before any of it is.
    ///
    /// # Errors
    ///
    /// [`StateError::Incompatible`] when it is another kind or type, and nothing migrates it.
    fn accept(&mut self, found: &RegisteredState) -> Result<Acceptance, StateError>;

    /// Turns the value of a restored row into what the table would write.
    fn migrate(&self, value: &[u8]) -> Result<Vec<u8>, StateError>;
}

/// Rows in the order of their keys' bytes, one for each key.
pub trait RowSource: Debug {
    /// Shows the rows from `from` up to but without `to` (`None`: to the end), ascending, until told
    /// to stop.
    fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut RowVisitor<'_>,
    ) -> Result<(), StateError>;
}

/// What [`RowSource::scan`] shows rows to, as (key, value).
pub type RowVisitor<'v> = dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StateError> + 'v;

/// What [`RowStore::get`] shows a value to.
pub type ValueVisitor<'v> = dyn FnMut(Option<&[u8]>) -> Result<(), StateError> + 'v;

/// What [`import_rows`] gives rows to, as (key, value).
pub type RowWriter<'v> = dyn FnMut(&[u8], &[u8]) -> Result<(), StateError> + 'v;

/// The rows of one state, which its table reads and writes.
pub trait RowStore: RowSource {
    /// Shows the value of a row, if there is one.
    fn get(&self, key: &[u8], show: &mut ValueVisitor<'_>) -> Result<(), StateError>;

    /// Writes a row.
    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), StateError>;

    /// Adds bytes to the end of a row's value; of a row that is not there, to nothing.
    fn append(&self, key: &[u8], bytes: &[u8]) -> Result<(), StateError>;

    /// Removes a row, if it is there.
    fn delete(&self, key: &[u8]) -> Result<(), StateError>;
}

/// One state whose rows are in a store.
pub(crate) struct Stored<K, F, V: StateValue> {
    schema: Schema<V>,
    kind: StateKind,
    rows: Rc<dyn RowStore>,
    /// Buffers for a row's key and value.
    scratch: Cell<(Vec<u8>, Vec<u8>)>,
    of: PhantomData<(K, F)>,
}

/// Says that a table has one value for each key.
pub(crate) struct OneValue;
/// Says that a table has a list for each key.
pub(crate) struct Items;
/// Says that a table has a map with keys of this type for each key.
pub(crate) struct Named<N>(PhantomData<N>);

impl<K: StateKey, F, V: StateValue> Stored<K, F, V> {
    pub(crate) fn new(schema: Schema<V>, kind: StateKind, rows: Rc<dyn RowStore>) -> Self {
        Self { schema, kind, rows, scratch: Cell::default(), of: PhantomData }
    }

    fn no_value(&self, bytes: &[u8]) -> StateError {
        self.schema.labels.value_error(bytes.len())
    }

    fn view<'b>(&self, bytes: &'b [u8]) -> Result<V::View<'b>, StateError> {
        V::view(bytes).ok_or_else(|| self.no_value(bytes))
    }

    /// Runs `act` with the key of the row for `at`, written by `encode`, and an empty buffer.
    fn with_row<R>(
        &self,
        encode: impl FnOnce(&mut Vec<u8>),
        act: impl FnOnce(&dyn RowStore, &[u8], &mut Vec<u8>) -> Result<R, StateError>,
    ) -> Result<R, StateError> {
        // Taken, so that what is shown to a user may itself use the state.
        let (mut key, mut value) = self.scratch.take();
        key.clear();
        value.clear();
        encode(&mut key);
        let result = act(&*self.rows, &key, &mut value);
        self.scratch.set((key, value));
        result
    }

    fn put(&self, encode: impl FnOnce(&mut Vec<u8>), value: &V) -> Result<(), StateError> {
        self.with_row(encode, |rows, key, buffer| {
            value.encode_value(buffer);
            rows.put(key, buffer)
        })
    }
}

impl<K: StateKey, F, V: StateValue> StateKeys<K> for Stored<K, F, V> {
    fn keys_of(&self, group: KeyGroup) -> Result<Vec<K>, StateError> {
        let (from, to) = rows::range_of_group(group);
        let mut keys: Vec<(u64, Vec<u8>)> = Vec::new();
        self.rows.scan(&from, Some(&to), &mut |row, _| {
            let (hash, key, _) = rows::split(self.kind, row).ok_or_else(|| self.no_value(row))?;
            if keys.last().is_none_or(|last| last.0 != hash.get() || last.1 != key) {
                keys.push((hash.get(), key.to_vec()));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        keys.sort_unstable();
        keys.iter().map(|(_, key)| self.schema.labels.key(key)).collect()
    }
}

/// A schema on its way to the backend, with how rows of its kind are migrated.
pub(crate) struct Migrating<'s, V: StateValue> {
    pub(crate) schema: &'s mut Schema<V>,
    pub(crate) kind: StateKind,
}

impl<V: StateValue> StoredSchema for Migrating<'_, V> {
    fn accept(&mut self, found: &RegisteredState) -> Result<Acceptance, StateError> {
        self.schema.accept(found)
    }

    fn migrate(&self, value: &[u8]) -> Result<Vec<u8>, StateError> {
        let decode: &Decode<V> = &*self.schema.decode;
        let failed = || self.schema.labels.value_error(value.len());
        let mut migrated = Vec::new();
        if self.kind != StateKind::List {
            decode(value).ok_or_else(failed)?.encode_value(&mut migrated);
            return Ok(migrated);
        }
        let mut items = ItemWriter::new(&mut migrated);
        for item in ItemReader::checked(value).ok_or_else(failed)? {
            let item = decode(item).ok_or_else(failed)?;
            items.item(|out| item.encode_value(out));
        }
        Ok(migrated)
    }
}

/// The place of `at` in rows of one value or list for each key.
fn whole<K: StateKey>(at: &Placed<K>) -> impl FnOnce(&mut Vec<u8>) + '_ {
    move |out| rows::whole(at.group, at.hash, |out| at.key.encode_key(out), out)
}
