//! One value for each key, in a store.

use tidegate_types::StateKey;

use super::{OneValue, Stored, whole};
use crate::table::{Placed, ValueTable};
use crate::{StateError, StateValue, ValueRef};

impl<K: StateKey, V: StateValue> ValueTable<K, V> for Stored<K, OneValue, V> {
    fn get(&self, at: &Placed<K>) -> Result<Option<V>, StateError> {
        let mut found = None;
        self.with_row(whole(at), |rows, key, _| {
            rows.get(key, &mut |bytes| {
                let Some(bytes) = bytes else { return Ok(()) };
                found = Some(V::decode_value(bytes).ok_or_else(|| self.no_value(bytes))?);
                Ok(())
            })
        })?;
        Ok(found)
    }

    fn read(
        &self,
        at: &Placed<K>,
        show: &mut dyn FnMut(Option<ValueRef<'_, V>>),
    ) -> Result<(), StateError> {
        self.with_row(whole(at), |rows, key, _| {
            rows.get(key, &mut |bytes| {
                let view = bytes.map(|bytes| self.view(bytes)).transpose()?;
                show(view.map(ValueRef::Archived));
                Ok(())
            })
        })
    }

    fn put(&mut self, at: &Placed<K>, value: V) -> Result<(), StateError> {
        Stored::put(self, whole(at), &value)
    }

    fn update(
        &mut self,
        at: &Placed<K>,
        change: &mut dyn FnMut(&mut Option<V>),
    ) -> Result<(), StateError> {
        let mut value = self.get(at)?;
        let was = value.is_some();
        change(&mut value);
        match value {
            Some(value) => Stored::put(self, whole(at), &value),
            None if was => self.clear(at),
            None => Ok(()),
        }
    }

    fn clear(&mut self, at: &Placed<K>) -> Result<(), StateError> {
        self.with_row(whole(at), |rows, key, _| rows.delete(key))
    }
}
