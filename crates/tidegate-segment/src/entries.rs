//! Walking over keyed entries in their order.
//!
//! Invariant: what comes out ascends by [`KeyedEntry::cmp_place`] and is of the key group; a
//! segment in which it does not is malformed, whatever its checksums say.

use tidegate_types::{KeyHash, MaxParallelism};

use crate::content::Damage;
use crate::cursor::Cursor;
use crate::directory::{Group, Section};
use crate::layout::{Layout, place};
use crate::lookup::value;
use crate::record::Head;
use crate::{Change, KeyedEntry, Lookup, Segment, SegmentError};

/// Entries of one state in one key group, or of one key, in order. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    segment: &'a Segment,
    layout: Layout,
    /// `None` when there is nothing (more).
    group: Option<&'a Group>,
    records: Cursor<'a>,
    hash: KeyHash,
    /// The current key, `None` before the first one.
    key: Option<&'a [u8]>,
    /// What is left of the current key's map.
    run: Option<Cursor<'a>>,
    map_key: Option<&'a [u8]>,
}

impl<'a> Entries<'a> {
    pub(crate) fn of_group(segment: &'a Segment, layout: Layout, group: Option<&'a Group>) -> Self {
        let (start, end) = group.map_or((0, 0), |group| (group.data, group.data_end));
        Self {
            segment,
            layout,
            group,
            records: Cursor::new(&segment.content, start, end),
            hash: KeyHash::from_bits(0),
            key: None,
            run: None,
            map_key: None,
        }
    }

    pub(crate) fn of_key(
        segment: &'a Segment,
        section: &'a Section,
        hash: KeyHash,
        key: &[u8],
    ) -> Result<Self, Damage> {
        let Some((found, group)) = segment.find(section, hash, key)? else {
            return Ok(Self::of_group(segment, section.layout, None));
        };
        let (head, payload) = (found.head, found.payload);
        let start = payload - head.key - head.length;
        let end = match section.layout {
            Layout::Map => segment.run(head, payload, group)?.end,
            Layout::Value | Layout::Timers => {
                let length = usize::try_from(head.number).unwrap_or(usize::MAX);
                payload.saturating_add(length).min(group.data_end)
            }
        };
        let mut entries = Self::of_group(segment, section.layout, Some(group));
        entries.records = Cursor::new(&segment.content, start, end);
        Ok(entries)
    }

    fn advance(&mut self) -> Result<Option<KeyedEntry<'a>>, Damage> {
        let Some(group) = self.group else { return Ok(None) };
        loop {
            if let Some(run) = &mut self.run {
                if !run.is_at_end() {
                    return self.next_of_map().map(Some);
                }
                self.run = None;
            }
            if self.records.is_at_end() {
                return Ok(None);
            }
            let head = self.records.head()?;
            let key = self.records.take(head.key)?;
            self.set_key(group, key)?;
            if self.layout == Layout::Map {
                if self.enter_map(head, group)? {
                    return Ok(Some(self.entry(Change::Delete)));
                }
                continue;
            }
            let change = match value(head, &mut self.records)? {
                Lookup::Found(value) => Change::Put(value),
                Lookup::Tombstone | Lookup::Absent => Change::Delete,
            };
            return Ok(Some(self.entry(change)));
        }
    }

    /// Whether the map was deleted before its entries.
    fn enter_map(&mut self, head: Head, group: &'a Group) -> Result<bool, Damage> {
        let run = self.segment.run(head, self.records.at(), group)?;
        if run.start == run.end && !run.is_after_delete {
            return Err(self.records.malformed("a map with entries, or its deletion", 0));
        }
        self.records.skip((run.end - run.start) as u64)?;
        self.run = Some(Cursor::new(&self.segment.content, run.start, run.end));
        self.map_key = None;
        Ok(run.is_after_delete)
    }

    fn next_of_map(&mut self) -> Result<KeyedEntry<'a>, Damage> {
        let run = self.run.as_mut().expect("there are entries left in it");
        let head = run.head()?;
        let map_key = run.take(head.key)?;
        if self.map_key.is_some_and(|previous| previous >= map_key) {
            return Err(run.malformed("map keys that ascend", map_key.len() as u64));
        }
        self.map_key = Some(map_key);
        let change = match value(head, run)? {
            Lookup::Found(value) => Change::PutEntry { map_key, value },
            Lookup::Tombstone | Lookup::Absent => Change::DeleteEntry { map_key },
        };
        Ok(self.entry(change))
    }

    fn set_key(&mut self, group: &Group, key: &'a [u8]) -> Result<(), Damage> {
        let hash = KeyHash::of_bytes(key);
        let max: MaxParallelism = self.segment.origin().max_parallelism;
        let ascends = self.key.is_none_or(|previous| (self.hash, previous) < (hash, key));
        if !ascends || place(max, hash).0 != group.number {
            let expected = "ascending keys of the key group";
            return Err(self.records.malformed(expected, hash.get()));
        }
        self.hash = hash;
        self.key = Some(key);
        Ok(())
    }

    fn entry(&self, change: Change<'a>) -> KeyedEntry<'a> {
        let key = self.key.expect("a record's key was read before its changes");
        KeyedEntry { hash: self.hash, key, change }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<KeyedEntry<'a>, SegmentError>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.advance();
        match self.segment.content.check_lost().and(entry) {
            Ok(Some(entry)) => Some(Ok(entry)),
            Ok(None) => {
                self.group = None;
                None
            }
            Err(damage) => {
                self.group = None;
                Some(Err(self.segment.explain(damage)))
            }
        }
    }
}
