//! A list of values for each key, in layers: each layer has what was added since the one below.

use tidegate_types::StateKey;

use super::entries::KeyWriter;
use super::{Delta, IsLive, Layered};
use crate::slot::{Decode, ItemReader, ItemWriter};
use crate::table::{ListTable, Placed};
use crate::{StateError, StateValue, ValueRef};

/// What was added since the last freeze, and whether what was there before is gone.
pub(crate) struct ListDelta<V> {
    cleared: bool,
    items: Vec<V>,
}

impl<V: StateValue> Delta for ListDelta<V> {
    type Value = V;

    fn read(items: ItemReader<'_>, decode: &Decode<V>) -> Option<Self> {
        Some(Self { cleared: true, items: items.map(decode).collect::<Option<_>>()? })
    }

    fn write(
        &self,
        epoch: u64,
        stale: Option<i64>,
        write: &mut KeyWriter<'_, '_>,
    ) -> Result<(), StateError> {
        if self.cleared {
            write.delete()?;
        }
        let is_fresh = |value: &&V| stale.is_none() || value.stamp_ms() > stale;
        if !self.items.iter().any(|value| is_fresh(&value)) {
            return Ok(());
        }
        write.put_entry(&epoch.to_be_bytes(), |out| {
            let mut items = ItemWriter::new(out);
            let fresh = self.items.iter().filter(is_fresh);
            fresh.for_each(|value| items.item(|out| value.encode_value(out)));
        })
    }

    fn unit_bytes() -> usize {
        size_of::<V>()
    }
}

impl<K: StateKey, V: StateValue> Layered<K, ListDelta<V>> {
    fn row(&mut self, at: &Placed<K>) -> &mut ListDelta<V> {
        if self.overlay.find(at).is_none() {
            let delta = ListDelta { cleared: false, items: Vec::new() };
            return self.overlay.insert(at, delta);
        }
        self.overlay.find_mut(at).expect("it was just found")
    }
}

impl<K: StateKey, V: StateValue> ListTable<K, V> for Layered<K, ListDelta<V>> {
    fn visit(
        &self,
        at: &Placed<K>,
        show: &mut dyn FnMut(ValueRef<'_, V>),
    ) -> Result<(), StateError> {
        let mut layers: Vec<&ListDelta<V>> = Vec::new();
        for delta in self.overlay.find(at).into_iter().chain(self.frozen(at)) {
            layers.push(delta);
            if delta.cleared {
                break;
            }
        }
        if !layers.last().is_some_and(|oldest| oldest.cleared) {
            self.in_base(at, |base, key| {
                base.entries_of_key(key, &mut |_, chunk| {
                    let items = ItemReader::checked(chunk).ok_or_else(|| self.no_value(chunk))?;
                    for item in items {
                        show(ValueRef::Archived(self.view::<V>(item)?));
                    }
                    Ok(())
                })
            })?;
        }
        let items = layers.iter().rev().flat_map(|delta| &delta.items);
        items.for_each(|value| show(ValueRef::Native(value)));
        Ok(())
    }

    fn add(&mut self, at: &Placed<K>, value: V) -> Result<(), StateError> {
        self.meter.wrote(&value, true);
        self.row(at).items.push(value);
        Ok(())
    }

    fn replace(&mut self, at: &Placed<K>, values: Vec<V>) -> Result<(), StateError> {
        if values.is_empty() && self.is_bottom() {
            self.overlay.remove(at);
            return Ok(());
        }
        values.iter().for_each(|value| self.meter.wrote(value, true));
        let cleared = !self.is_bottom();
        *self.row(at) = ListDelta { cleared, items: values };
        Ok(())
    }
}

impl<K: StateKey, V: StateValue> IsLive<K> for Layered<K, ListDelta<V>> {
    fn is_live(&self, at: &Placed<K>) -> Result<bool, StateError> {
        let mut live = false;
        self.visit(at, &mut |_| live = true)?;
        Ok(live)
    }
}
