//! A list for each key, in one row of a store: adding appends to it, without reading it.

use tidegate_types::StateKey;

use super::{Items, Stored, whole};
use crate::slot::{ItemReader, ItemWriter};
use crate::table::{ListTable, Placed};
use crate::{StateError, StateValue, ValueRef};

impl<K: StateKey, V: StateValue> ListTable<K, V> for Stored<K, Items, V> {
    fn visit(
        &self,
        at: &Placed<K>,
        show: &mut dyn FnMut(ValueRef<'_, V>),
    ) -> Result<(), StateError> {
        self.with_row(whole(at), |rows, key, _| {
            rows.get(key, &mut |bytes| {
                let bytes = bytes.unwrap_or_default();
                let items = ItemReader::checked(bytes).ok_or_else(|| self.no_value(bytes))?;
                for item in items {
                    show(ValueRef::Archived(self.view(item)?));
                }
                Ok(())
            })
        })
    }

    fn add(&mut self, at: &Placed<K>, value: V) -> Result<(), StateError> {
        self.with_row(whole(at), |rows, key, buffer| {
            ItemWriter::new(buffer).item(|out| value.encode_value(out));
            rows.append(key, buffer)
        })
    }

    fn replace(&mut self, at: &Placed<K>, values: Vec<V>) -> Result<(), StateError> {
        self.with_row(whole(at), |rows, key, buffer| {
            if values.is_empty() {
                return rows.delete(key);
            }
            let mut items = ItemWriter::new(buffer);
            values.iter().for_each(|value| items.item(|out| value.encode_value(out)));
            rows.put(key, buffer)
        })
    }
}
