//! A map for each key, in layers: each layer has the entries that changed since the one below.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hashbrown::HashMap;
use tidegate_types::StateKey;

use super::entries::{KeyWriter, sorted_by_name};
use super::{Delta, IsLive, Layered, canonical};
use crate::slot::{Decode, ItemReader};
use crate::table::{MapTable, Placed};
use crate::{StateError, StateValue, ValueRef};

/// The entries that changed since the last freeze (`None`: removed), and whether all others of
/// before are gone.
pub(crate) struct MapDelta<N, V> {
    cleared: bool,
    entries: HashMap<N, Option<V>>,
}

impl<N: StateKey, V: StateValue> Delta for MapDelta<N, V> {
    type Value = V;

    fn read(mut items: ItemReader<'_>, decode: &Decode<V>) -> Option<Self> {
        let mut entries = HashMap::default();
        while let Some(mut name) = items.next() {
            let key = N::decode_key(&mut name).ok().filter(|_| name.is_empty())?;
            entries.insert(key, Some(decode(items.next()?)?));
        }
        Some(Self { cleared: true, entries })
    }

    fn write(
        &self,
        _: u64,
        stale: Option<i64>,
        write: &mut KeyWriter<'_, '_>,
    ) -> Result<(), StateError> {
        if self.cleared {
            write.delete()?;
        }
        for (name, value) in sorted_by_name(self.entries.iter()) {
            match value {
                Some(value) if stale.is_none() || value.stamp_ms() > stale => {
                    write.put_entry(&name, |out| value.encode_value(out))?;
                }
                _ if self.cleared => {}
                _ => write.delete_entry(&name)?,
            }
        }
        Ok(())
    }

    fn unit_bytes() -> usize {
        2 * size_of::<(N, Option<V>)>()
    }
}

impl<K: StateKey, N: StateKey, V: StateValue> Layered<K, MapDelta<N, V>> {
    fn entry_below(&self, at: &Placed<K>, name: &N) -> Result<Option<ValueRef<'_, V>>, StateError> {
        for delta in self.frozen(at) {
            match delta.entries.get(name) {
                Some(value) => return Ok(value.as_ref().map(ValueRef::Native)),
                None if delta.cleared => return Ok(None),
                None => {}
            }
        }
        match self.in_base(at, |base, key| base.get_entry(key, &canonical(name)))? {
            Some(bytes) => Ok(Some(ValueRef::Archived(self.view::<V>(bytes)?))),
            None => Ok(None),
        }
    }

    fn entry(&self, at: &Placed<K>, name: &N) -> Result<Option<ValueRef<'_, V>>, StateError> {
        if let Some(delta) = self.overlay.find(at) {
            match delta.entries.get(name) {
                Some(value) => return Ok(value.as_ref().map(ValueRef::Native)),
                None if delta.cleared => return Ok(None),
                None => {}
            }
        }
        self.entry_below(at, name)
    }

    fn row(&mut self, at: &Placed<K>) -> &mut MapDelta<N, V> {
        if self.overlay.find(at).is_none() {
            let delta = MapDelta { cleared: false, entries: HashMap::default() };
            return self.overlay.insert(at, delta);
        }
        self.overlay.find_mut(at).expect("it was just found")
    }

    /// Sets or removes an entry of the overlay.
    fn set(&mut self, at: &Placed<K>, name: N, value: Option<V>) {
        let is_bottom = self.is_bottom();
        if let Some(value) = &value {
            self.meter.wrote(value, true);
        }
        let row = self.row(at);
        if value.is_none() && (is_bottom || row.cleared) {
            row.entries.remove(&name);
            if is_bottom && row.entries.is_empty() {
                self.overlay.remove(at);
            }
        } else {
            row.entries.insert(name, value);
        }
    }
}

impl<K: StateKey, N: StateKey, V: StateValue> MapTable<K, N, V> for Layered<K, MapDelta<N, V>> {
    fn read(
        &self,
        at: &Placed<K>,
        name: &N,
        show: &mut dyn FnMut(Option<ValueRef<'_, V>>),
    ) -> Result<(), StateError> {
        show(self.entry(at, name)?);
        Ok(())
    }

    fn put(&mut self, at: &Placed<K>, name: N, value: V) -> Result<(), StateError> {
        self.set(at, name, Some(value));
        Ok(())
    }

    fn remove(&mut self, at: &Placed<K>, name: &N) -> Result<Option<V>, StateError> {
        let removed = self.entry(at, name)?.map(|value| value.to_value());
        if removed.is_some() {
            self.set(at, name.clone(), None);
        }
        Ok(removed)
    }

    fn visit(
        &self,
        at: &Placed<K>,
        show: &mut dyn FnMut(&N, ValueRef<'_, V>),
    ) -> Result<(), StateError> {
        let mut merged: BTreeMap<Cow<'_, [u8]>, Option<ValueRef<'_, V>>> = BTreeMap::new();
        let mut cleared = false;
        for delta in self.overlay.find(at).into_iter().chain(self.frozen(at)) {
            for (name, value) in &delta.entries {
                let value = value.as_ref().map(ValueRef::Native);
                merged.entry(canonical(name).into()).or_insert(value);
            }
            cleared = delta.cleared;
            if cleared {
                break;
            }
        }
        if !cleared {
            self.in_base(at, |base, key| {
                base.entries_of_key(key, &mut |name, value| {
                    let view = self.view::<V>(value)?;
                    let archived = Some(ValueRef::Archived(view));
                    merged.entry(Cow::Borrowed(name)).or_insert(archived);
                    Ok(())
                })
            })?;
        }
        for (name, value) in merged {
            if let Some(value) = value {
                show(&self.schema.labels.key::<N>(&name)?, value);
            }
        }
        Ok(())
    }

    fn clear(&mut self, at: &Placed<K>) -> Result<(), StateError> {
        if self.is_bottom() {
            self.overlay.remove(at);
        } else {
            *self.row(at) = MapDelta { cleared: true, entries: HashMap::default() };
        }
        Ok(())
    }
}

impl<K: StateKey, N: StateKey, V: StateValue> IsLive<K> for Layered<K, MapDelta<N, V>> {
    fn is_live(&self, at: &Placed<K>) -> Result<bool, StateError> {
        let mut live = false;
        self.visit(at, &mut |_, _| live = true)?;
        Ok(live)
    }
}
