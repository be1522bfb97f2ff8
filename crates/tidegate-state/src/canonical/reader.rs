//! Reading keyed state in the canonical form: bytes from outside, checked before they are used.

use std::sync::Arc;

use tidegate_meta::frame::{self, FrameKind, HEADER_LENGTH};
use tidegate_types::{KeyGroup, KeyGroupRange, KeyHash, MaxParallelism, OperatorUid, StateKind};
use xxhash_rust::xxh3::xxh3_64;

use crate::StateError;
use crate::backend::Entry;

/// A verified frame of keyed state.
#[derive(Clone, Debug)]
pub(crate) struct CanonicalReader {
    operator: OperatorUid,
    frame: Arc<[u8]>,
    range: KeyGroupRange,
    states: Vec<(Arc<str>, StateKind)>,
    /// Where the directory begins in the payload.
    directory: usize,
}

/// The kind with this number.
pub(crate) fn kind_of_tag(tag: u8) -> Option<StateKind> {
    Some(match tag {
        1 => StateKind::Value,
        2 => StateKind::List,
        3 => StateKind::Map,
        4 => StateKind::Reducing,
        5 => StateKind::Aggregating,
        6 => StateKind::Timer,
        7 => StateKind::OperatorList,
        _ => return None,
    })
}

/// A place in the payload, moved on by what is taken.
struct Cursor<'a> {
    operator: &'a OperatorUid,
    payload: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    fn malformed(&self, expected: &'static str, found: u64) -> StateError {
        let operator = self.operator.clone();
        StateError::Malformed { operator, offset: self.offset, expected, found }
    }

    fn take(&mut self, length: usize, expected: &'static str) -> Result<&'a [u8], StateError> {
        let rest = self.payload.get(self.offset..).unwrap_or_default();
        let taken = rest.get(..length).ok_or_else(|| self.malformed(expected, length as u64))?;
        self.offset += length;
        Ok(taken)
    }

    fn number<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], StateError> {
        Ok(self.take(N, expected)?.try_into().expect("as long as was taken"))
    }

    fn u16(&mut self, expected: &'static str) -> Result<u16, StateError> {
        self.number(expected).map(u16::from_le_bytes)
    }

    fn u32(&mut self, expected: &'static str) -> Result<u32, StateError> {
        self.number(expected).map(u32::from_le_bytes)
    }

    fn u64(&mut self, expected: &'static str) -> Result<u64, StateError> {
        self.number(expected).map(u64::from_le_bytes)
    }

    fn bytes(&mut self, expected: &'static str) -> Result<&'a [u8], StateError> {
        let length = self.u32(expected)?;
        self.take(length as usize, expected)
    }

    fn entry(&mut self) -> Result<Entry<'a>, StateError> {
        let key = self.bytes("key")?;
        let count = self.u32("number of items")?;
        let items = self.bytes("items")?;
        Ok(Entry { hash: KeyHash::of_bytes(key), key, count, items })
    }
}

impl CanonicalReader {
    /// Verifies the frame and reads what is in front of the sections.
    ///
    /// `expected` is the range that the metadata names.
    pub(crate) fn open(
        operator: &OperatorUid,
        expected: KeyGroupRange,
        frame: Arc<[u8]>,
    ) -> Result<Self, StateError> {
        let payload = frame::open(FrameKind::KeyedState, &frame).map_err(|source| {
            StateError::Frame { operator: operator.clone(), key_groups: expected, source }
        })?;
        let mut cursor = Cursor { operator, payload, offset: 0 };
        let first = KeyGroup::new(cursor.u16("first key group")?);
        let last = KeyGroup::new(cursor.u16("last key group")?);
        let range = KeyGroupRange::new(first, last).filter(|range| *range == expected);
        let range = range.ok_or_else(|| {
            cursor.malformed("the key groups of the metadata", u64::from(last.get()))
        })?;
        let count = cursor.u32("number of states")?;
        let mut states = Vec::new();
        for _ in 0..count {
            let [tag] = cursor.number("kind of a state")?;
            let kind = kind_of_tag(tag);
            let kind = kind.ok_or_else(|| cursor.malformed("kind of a state", tag.into()))?;
            let name = std::str::from_utf8(cursor.bytes("name of a state")?)
                .map_err(|error| cursor.malformed("UTF-8 name", error.valid_up_to() as u64))?;
            states.push((Arc::from(name), kind));
        }
        let directory = cursor.offset;
        cursor.take(24 * range.count(), "directory of key groups")?;
        Ok(Self { operator: operator.clone(), frame, range, states, directory })
    }

    pub(crate) fn range(&self) -> KeyGroupRange {
        self.range
    }

    /// The states, in the order of their numbers.
    pub(crate) fn states(&self) -> &[(Arc<str>, StateKind)] {
        &self.states
    }

    /// Reads every section once, so that no later reading can fail.
    ///
    /// The sections must fill the payload in their order: if they could overlap, a short frame
    /// would take as long as its longest section times the number of key groups.
    pub(crate) fn verify(&self, max: MaxParallelism) -> Result<(), StateError> {
        let mut end = self.directory + 24 * self.range.count();
        for group in self.range.iter() {
            let mut cursor = self.section(group)?;
            if cursor.offset != end {
                return Err(cursor.malformed("section behind the one before it", end as u64));
            }
            end = cursor.payload.len();
            for _ in &self.states {
                for _ in 0..cursor.u32("number of entries")? {
                    let entry = cursor.entry()?;
                    let place = max.key_group_of(entry.hash);
                    if place != group {
                        let found = place.get().into();
                        return Err(cursor.malformed("keys of the section's own key group", found));
                    }
                }
            }
            if cursor.offset != end {
                let left = (end - cursor.offset) as u64;
                return Err(cursor.malformed("the end of the section", left));
            }
        }
        let behind = (self.frame.len() - HEADER_LENGTH - end) as u64;
        if behind > 0 {
            let (operator, offset) = (self.operator.clone(), end);
            let expected = "the end of the payload";
            return Err(StateError::Malformed { operator, offset, expected, found: behind });
        }
        Ok(())
    }

    /// Shows the entries of one state in one key group of the range, in their order.
    pub(crate) fn entries(
        &self,
        group: KeyGroup,
        state: usize,
        visit: &mut dyn FnMut(Entry<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let mut cursor = self.section(group)?;
        for number in 0..=state {
            for _ in 0..cursor.u32("number of entries")? {
                let entry = cursor.entry()?;
                if number == state {
                    visit(entry)?;
                }
            }
        }
        Ok(())
    }

    /// The section of a key group, its checksum verified.
    fn section(&self, group: KeyGroup) -> Result<Cursor<'_>, StateError> {
        let payload = &self.frame[HEADER_LENGTH..];
        let index = usize::from(group.get() - self.range.first().get());
        let offset = self.directory + 24 * index;
        let mut cursor = Cursor { operator: &self.operator, payload, offset };
        let (start, length) = (cursor.u64("offset")?, cursor.u64("length")?);
        let checksum = cursor.u64("checksum")?;
        let place =
            usize::try_from(start).ok().zip(usize::try_from(start.saturating_add(length)).ok());
        let section = place.and_then(|(start, end)| Some((start, end, payload.get(start..end)?)));
        let Some((start, end, section)) = section else {
            return Err(cursor.malformed("section within the payload", start));
        };
        let found = xxh3_64(section);
        // What is behind the section is not for its entries.
        let cursor = Cursor { operator: &self.operator, payload: &payload[..end], offset: start };
        if found != checksum {
            return Err(cursor.malformed("bytes of the directory's checksum", found));
        }
        Ok(cursor)
    }
}
