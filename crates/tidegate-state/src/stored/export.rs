//! Rows of a store as entries of the canonical form.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

use tidegate_types::{KeyGroup, KeyHash, OperatorUid, RegisteredState, StateKind};

use super::{RowSource, rows};
use crate::StateError;
use crate::backend::{Entry, FrozenTable};
use crate::layer::Expiry;
use crate::slot::ItemReader;

/// A state in a store that does not change any more, for a savepoint.
#[derive(Debug)]
pub struct StoredEntries<S> {
    /// The operator, for messages.
    pub operator: OperatorUid,
    /// The state.
    pub state: RegisteredState,
    /// Its rows.
    pub rows: S,
    /// What has expired by this time is left out, in milliseconds since the Unix epoch.
    pub expiry: Option<(Expiry, i64)>,
}

/// Everything under one key.
struct Growing {
    key: Vec<u8>,
    count: u32,
    items: Vec<u8>,
}

impl Growing {
    fn item(&mut self, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).expect("a value of less than 4 GiB");
        self.items.extend_from_slice(&length.to_le_bytes());
        self.items.extend_from_slice(bytes);
        self.count += 1;
    }
}

impl<S: RowSource> StoredEntries<S> {
    fn malformed(&self, row: &[u8]) -> StateError {
        StateError::Value {
            operator: self.operator.clone(),
            state: self.state.name.clone(),
            length: row.len(),
            types: (&*self.state.types).into(),
        }
    }

    /// Adds a row to what is under its key.
    fn add(&self, to: &mut Growing, map_key: &[u8], value: &[u8]) -> Result<(), StateError> {
        let live = match self.expiry {
            Some((expiry, now_ms)) => expiry.live(value, now_ms),
            None => Some(Cow::Borrowed(value)),
        };
        let Some(value) = live else { return Ok(()) };
        match self.state.kind {
            StateKind::List => {
                let items = ItemReader::checked(&value).ok_or_else(|| self.malformed(&value))?;
                items.for_each(|item| to.item(item));
            }
            StateKind::Map => {
                to.item(map_key);
                to.item(&value);
            }
            _ => to.item(&value),
        }
        Ok(())
    }

    fn timers(
        &self,
        group: KeyGroup,
        visit: &mut dyn FnMut(Entry<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let (from, to) = rows::range_of_group(group);
        let mut timers: BTreeMap<(KeyHash, Vec<u8>), Vec<i64>> = BTreeMap::new();
        self.rows.scan(&from, Some(&to), &mut |row, _| {
            let (time, key) = rows::split_timer(row).ok_or_else(|| self.malformed(row))?;
            timers.entry((KeyHash::of_bytes(key), key.to_vec())).or_default().push(time);
            Ok(ControlFlow::Continue(()))
        })?;
        for ((hash, key), times) in timers {
            let mut entry = Growing { key, count: 0, items: Vec::new() };
            times.iter().for_each(|time| entry.item(&time.to_le_bytes()));
            let Growing { key, count, items } = entry;
            visit(Entry { hash, key: &key, count, items: &items })?;
        }
        Ok(())
    }
}

/// Shows the entries of one hash, ascending by key.
fn show(
    hash: KeyHash,
    entries: &mut Vec<Growing>,
    visit: &mut dyn FnMut(Entry<'_>) -> Result<(), StateError>,
) -> Result<(), StateError> {
    entries.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    for Growing { key, count, items } in entries.drain(..).filter(|entry| entry.count > 0) {
        visit(Entry { hash, key: &key, count, items: &items })?;
    }
    Ok(())
}

impl<S: RowSource + Send> FrozenTable for StoredEntries<S> {
    fn entries(
        &self,
        group: KeyGroup,
        visit: &mut dyn FnMut(Entry<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        if self.state.kind == StateKind::Timer {
            return self.timers(group, visit);
        }
        let (from, to) = rows::range_of_group(group);
        // Almost always one: keys whose hashes are equal.
        let mut same: Vec<Growing> = Vec::new();
        let mut current = KeyHash::from_bits(0);
        self.rows.scan(&from, Some(&to), &mut |row, value| {
            let (hash, key, map_key) =
                rows::split(self.state.kind, row).ok_or_else(|| self.malformed(row))?;
            if hash != current {
                show(current, &mut same, visit)?;
                current = hash;
            }
            if same.last().is_none_or(|last| last.key != key) {
                same.push(Growing { key: key.to_vec(), count: 0, items: Vec::new() });
            }
            self.add(same.last_mut().expect("it was just pushed"), map_key, value)?;
            Ok(ControlFlow::Continue(()))
        })?;
        show(current, &mut same, visit)
    }
}
