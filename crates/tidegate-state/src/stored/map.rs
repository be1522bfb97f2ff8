//! A map for each key, in a store: a row for each entry.

use std::ops::ControlFlow;

use tidegate_types::StateKey;

use super::{Named, Stored, rows};
use crate::table::{MapTable, Placed};
use crate::{StateError, StateValue, ValueRef};

/// Where the entries of a key begin.
fn prefix<K: StateKey>(at: &Placed<K>, out: &mut Vec<u8>) {
    rows::map(at.group, at.hash, &rows::canonical(&at.key), out);
}

fn entry<'a, K: StateKey, N: StateKey>(
    at: &'a Placed<K>,
    name: &'a N,
) -> impl FnOnce(&mut Vec<u8>) + 'a {
    move |out| {
        prefix(at, out);
        name.encode_key(out);
    }
}

impl<K: StateKey, N: StateKey, V: StateValue> MapTable<K, N, V> for Stored<K, Named<N>, V> {
    fn read(
        &self,
        at: &Placed<K>,
        name: &N,
        show: &mut dyn FnMut(Option<ValueRef<'_, V>>),
    ) -> Result<(), StateError> {
        self.with_row(entry(at, name), |rows, key, _| {
            rows.get(key, &mut |bytes| {
                let view = bytes.map(|bytes| self.view(bytes)).transpose()?;
                show(view.map(ValueRef::Archived));
                Ok(())
            })
        })
    }

    fn put(&mut self, at: &Placed<K>, name: N, value: V) -> Result<(), StateError> {
        Stored::put(self, entry(at, &name), &value)
    }

    fn remove(&mut self, at: &Placed<K>, name: &N) -> Result<Option<V>, StateError> {
        let mut removed = None;
        MapTable::read(self, at, name, &mut |value| removed = value.map(|value| value.to_value()))?;
        if removed.is_some() {
            self.with_row(entry(at, name), |rows, key, _| rows.delete(key))?;
        }
        Ok(removed)
    }

    fn visit(
        &self,
        at: &Placed<K>,
        show: &mut dyn FnMut(&N, ValueRef<'_, V>),
    ) -> Result<(), StateError> {
        self.with_row(
            |out| prefix(at, out),
            |rows, from, _| {
                rows.scan(from, rows::after(from).as_deref(), &mut |row, value| {
                    let name = self.schema.labels.key::<N>(&row[from.len()..])?;
                    show(&name, ValueRef::Archived(self.view(value)?));
                    Ok(ControlFlow::Continue(()))
                })
            },
        )
    }

    fn clear(&mut self, at: &Placed<K>) -> Result<(), StateError> {
        self.with_row(
            |out| prefix(at, out),
            |rows, from, _| {
                let mut found = Vec::new();
                rows.scan(from, rows::after(from).as_deref(), &mut |row, _| {
                    found.push(row.to_vec());
                    Ok(ControlFlow::Continue(()))
                })?;
                found.iter().try_for_each(|row| rows.delete(row))
            },
        )
    }
}
