//! Reading everything once, so that no later reading can fail.

use tidegate_types::{KeyGroup, KeyGroupRange};

use crate::content::Damage;
use crate::directory::{Group, Section};
use crate::layout::Layout;
use crate::{Change, Entries, KeyedEntry, Lookup, Segment, SegmentError, Statistics, Timers};

impl Segment {
    /// Reads everything that it has of some key groups: checksums, structure, order, counts, and
    /// whether every entry is found under its key.
    pub fn verify(&self, key_groups: KeyGroupRange) -> Result<(), SegmentError> {
        for section in &self.sections {
            for group in section.within(key_groups) {
                let index = self.content.slice(group.index, group.index_end - group.index);
                index.map_err(|damage| self.explain(damage))?;
                let (found, places) = match section.layout {
                    Layout::Value | Layout::Map => self.verify_entries(section, group)?,
                    Layout::Timers => self.verify_timers(section, group)?,
                };
                let expected = group.statistics;
                let is_right = (found.keys, found.puts, found.tombstones)
                    == (expected.keys, expected.puts, expected.tombstones)
                    && places == Some((group.minimum, group.maximum));
                if !is_right {
                    let expected = "as many entries as the directory says";
                    let (offset, found) = (group.data, found.puts + found.tombstones);
                    return Err(self.explain(Damage::Malformed { offset, expected, found }));
                }
            }
        }
        Ok(())
    }

    /// Counts, and the first and last hash.
    fn verify_entries(
        &self,
        section: &Section,
        group: &Group,
    ) -> Result<(Statistics, Option<(u64, u64)>), SegmentError> {
        let (mut counts, mut places) = (Statistics::default(), None);
        let mut previous: Option<KeyedEntry<'_>> = None;
        for entry in Entries::of_group(self, section.layout, Some(group)) {
            let entry = entry?;
            if previous.is_none_or(|previous| previous.cmp_key(&entry).is_ne()) {
                counts.keys += 1;
                let first = places.map_or(entry.hash.get(), |(first, _)| first);
                places = Some((first, entry.hash.get()));
            }
            if entry.change.is_tombstone() {
                counts.tombstones += 1;
            } else {
                counts.puts += 1;
            }
            self.verify_found(section, group, &entry)?;
            previous = Some(entry);
        }
        Ok((counts, places))
    }

    fn verify_found(
        &self,
        section: &Section,
        group: &Group,
        entry: &KeyedEntry<'_>,
    ) -> Result<(), SegmentError> {
        let found = match (section.layout, entry.change) {
            (Layout::Map, Change::Delete) => {
                let found = self.find(section, entry.hash, entry.key);
                found.map(|found| found.map_or(Lookup::Absent, |_| Lookup::Tombstone))
            }
            (_, change) => match change.map_key() {
                None => self.look_up(section, entry.hash, entry.key),
                Some(map_key) => self.look_up_entry(section, entry.hash, entry.key, map_key),
            },
        };
        let found = found.map_err(|damage| self.explain(damage))?;
        let expected = entry.change.value().map_or(Lookup::Tombstone, Lookup::Found);
        if found == expected {
            return Ok(());
        }
        let (offset, found) = (group.index, entry.hash.get());
        let expected = "an index that leads to every key";
        Err(self.explain(Damage::Malformed { offset, expected, found }))
    }

    /// Counts, and the first and last time.
    fn verify_timers(
        &self,
        section: &Section,
        group: &Group,
    ) -> Result<(Statistics, Option<(u64, u64)>), SegmentError> {
        let (mut counts, mut places) = (Statistics::default(), None);
        for timer in Timers::new(self, Some(group), i64::MIN, &[]) {
            let timer = timer?;
            counts.keys += 1;
            let place = timer.time_ms.cast_unsigned();
            places = Some((places.map_or(place, |(first, _)| first), place));
            let expected = if timer.is_tombstone {
                counts.tombstones += 1;
                Lookup::Tombstone
            } else {
                counts.puts += 1;
                Lookup::Found(&[])
            };
            let found = Timers::look_up(self, section, timer.time_ms, timer.hash, timer.key)?;
            if found != expected {
                let (offset, found) = (group.index, place);
                let expected = "an index that leads to every timer";
                return Err(self.explain(Damage::Malformed { offset, expected, found }));
            }
        }
        debug_assert!(self.origin().key_groups.contains(KeyGroup::new(group.number)));
        Ok((counts, places))
    }
}
