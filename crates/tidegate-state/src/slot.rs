//! Slots: what a table keeps under one key, and how that becomes the items of an entry.

use hashbrown::HashMap;
use tidegate_types::StateKey;

use crate::StateValue;

/// What a table keeps under one key.
pub(crate) trait Slot: Clone + Send + Sync + 'static {
    /// What it has one or many of.
    type Value: StateValue;

    /// Writes its items, without values stamped up to `stale`.
    fn write(&self, items: &mut ItemWriter<'_>, stale: Option<i64>);

    /// `None` when the items are not those of this slot.
    fn read(items: ItemReader<'_>, decode: &Decode<Self::Value>) -> Option<Self>;
}

/// From a value's bytes to the value, by way of an earlier type if need be.
pub(crate) type Decode<V> = dyn Fn(&[u8]) -> Option<V>;

/// Writes items behind each other, each with its length in front.
pub(crate) struct ItemWriter<'a> {
    bytes: &'a mut Vec<u8>,
    count: u32,
}

impl<'a> ItemWriter<'a> {
    pub(crate) fn new(bytes: &'a mut Vec<u8>) -> Self {
        bytes.clear();
        Self { bytes, count: 0 }
    }

    /// # Panics
    ///
    /// When the item has 4 GiB or more, or is number 2^32.
    pub(crate) fn item(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        write(self.bytes);
        let length = self.bytes.len() - start - 4;
        let length = u32::try_from(length).expect("a value is shorter than 4 GiB");
        self.bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
        self.count = self.count.checked_add(1).expect("fewer than 2^32 items under one key");
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }
}

/// Gives the items that an [`ItemWriter`] wrote.
#[derive(Clone)]
pub(crate) struct ItemReader<'a> {
    bytes: &'a [u8],
}

impl<'a> ItemReader<'a> {
    /// `None` unless the bytes are exactly `count` items.
    pub(crate) fn new(bytes: &'a [u8], count: u32) -> Option<Self> {
        let (mut rest, mut seen) = (bytes, 0_u32);
        while !rest.is_empty() {
            let (length, tail) = rest.split_first_chunk::<4>()?;
            rest = tail.get(u32::from_le_bytes(*length) as usize..)?;
            seen = seen.checked_add(1)?;
        }
        (seen == count).then_some(Self { bytes })
    }

    /// `None` unless the bytes are items, however many.
    pub(crate) fn checked(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (length, tail) = rest.split_first_chunk::<4>()?;
            rest = tail.get(u32::from_le_bytes(*length) as usize..)?;
        }
        Some(Self { bytes })
    }

    /// Of bytes that end where they cease to be items.
    pub(crate) fn unchecked(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }
}

impl<'a> Iterator for ItemReader<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, tail) = self.bytes.split_first_chunk::<4>()?;
        let (item, tail) = tail.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        self.bytes = tail;
        Some(item)
    }
}

/// Whether a value is not among those stamped up to `stale`.
fn is_fresh<V: StateValue>(value: &V, stale: Option<i64>) -> bool {
    stale.is_none() || value.stamp_ms() > stale
}

/// One value.
#[derive(Clone, Debug)]
pub(crate) struct ValueSlot<V>(pub(crate) V);

impl<V: StateValue> Slot for ValueSlot<V> {
    type Value = V;

    fn write(&self, items: &mut ItemWriter<'_>, stale: Option<i64>) {
        if is_fresh(&self.0, stale) {
            items.item(|out| self.0.encode_value(out));
        }
    }

    fn read(mut items: ItemReader<'_>, decode: &Decode<V>) -> Option<Self> {
        let value = decode(items.next()?)?;
        items.next().is_none().then_some(Self(value))
    }
}

/// A list of values, never empty.
#[derive(Clone, Debug)]
pub(crate) struct ListSlot<V>(pub(crate) Vec<V>);

impl<V: StateValue> Slot for ListSlot<V> {
    type Value = V;

    fn write(&self, items: &mut ItemWriter<'_>, stale: Option<i64>) {
        let fresh = self.0.iter().filter(|value| is_fresh(*value, stale));
        fresh.for_each(|value| items.item(|out| value.encode_value(out)));
    }

    fn read(items: ItemReader<'_>, decode: &Decode<V>) -> Option<Self> {
        let values: Vec<V> = items.map(decode).collect::<Option<_>>()?;
        (!values.is_empty()).then_some(Self(values))
    }
}

/// A map, never empty.
#[derive(Clone, Debug)]
pub(crate) struct MapSlot<N, V>(pub(crate) HashMap<N, V>);

impl<N: StateKey, V: StateValue> MapSlot<N, V> {
    /// Ascending by the canonical bytes of the map's keys: the order of every backend.
    pub(crate) fn sorted(&self) -> Vec<(Vec<u8>, &N, &V)> {
        let encoded = self.0.iter().map(|(name, value)| {
            let mut bytes = Vec::new();
            name.encode_key(&mut bytes);
            (bytes, name, value)
        });
        let mut sorted: Vec<_> = encoded.collect();
        sorted.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        sorted
    }
}

impl<N: StateKey, V: StateValue> Slot for MapSlot<N, V> {
    type Value = V;

    fn write(&self, items: &mut ItemWriter<'_>, stale: Option<i64>) {
        for (bytes, _, value) in self.sorted() {
            if !is_fresh(value, stale) {
                continue;
            }
            items.item(|out| out.extend_from_slice(&bytes));
            items.item(|out| value.encode_value(out));
        }
    }

    fn read(mut items: ItemReader<'_>, decode: &Decode<V>) -> Option<Self> {
        let mut map = HashMap::default();
        while let Some(mut name) = items.next() {
            let key = N::decode_key(&mut name).ok().filter(|_| name.is_empty())?;
            map.insert(key, decode(items.next()?)?);
        }
        (!map.is_empty()).then_some(Self(map))
    }
}
