//! Point look-ups: one word of a bucket, then the few records of that bucket.
//!
//! The hash's place within its key group chooses the bucket: keys are sorted by hash, so that a
//! bucket is a stretch of the data, about two keys long. The bucket's word says where it begins,
//! the next word where it ends, and its filter that most absent keys are absent.

use tidegate_types::KeyHash;
use xxhash_rust::xxh3::xxh3_64;

use crate::content::Damage;
use crate::cursor::Cursor;
use crate::directory::{Group, Section};
use crate::layout::{BUCKET, OFFSET_MASK, RUN, Slots, filter, place, scale};
use crate::record::{DELETE, Head, LONG_RUN, PUT, RUN_AFTER_DELETE};
use crate::{Lookup, Segment};

/// The entries of one map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) is_after_delete: bool,
    /// Where its entries are in the file.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The index over them and where it is in the file; short runs have none.
    slots: Option<(Slots, usize)>,
}

impl Segment {
    /// Finds the record of a key: its head, its group, and a cursor behind the key.
    #[inline]
    pub(crate) fn find<'a>(
        &'a self,
        section: &'a Section,
        hash: KeyHash,
        key: &[u8],
    ) -> Result<Option<(Head, &'a Group, Cursor<'a>)>, Damage> {
        let (number, fraction) = place(self.origin().max_parallelism, hash);
        let Some(group) = section.group(number) else { return Ok(None) };
        let bucket = scale(fraction, group.buckets) as usize;
        let [word, next] = self.content.words(group.index + bucket * BUCKET)?;
        let needed = filter(hash);
        if word & needed != needed {
            return Ok(None);
        }
        let (start, end) = (word & OFFSET_MASK, next & OFFSET_MASK);
        let length = (group.data_end - group.data) as u64;
        if start > end || end > length {
            let (offset, expected) = (group.index + bucket * BUCKET, "a bucket within the data");
            return Err(Damage::Malformed { offset, expected, found: word });
        }
        // Below the length of the data.
        let at = |offset: u64| group.data + usize::try_from(offset).unwrap_or(0);
        let mut cursor = Cursor::new(&self.content, at(start), at(end));
        while !cursor.is_at_end() {
            let head = cursor.head()?;
            if cursor.take(head.key)? == key {
                return Ok(Some((head, group, cursor)));
            }
            self.skip_payload(head, section, group, &mut cursor)?;
        }
        Ok(None)
    }

    pub(crate) fn look_up<'a>(
        &'a self,
        section: &'a Section,
        hash: KeyHash,
        key: &[u8],
    ) -> Result<Lookup<'a>, Damage> {
        let found = match self.find(section, hash, key)? {
            None => Lookup::Absent,
            Some((head, _, mut cursor)) => value(head, &mut cursor)?,
        };
        self.content.check_lost()?;
        Ok(found)
    }

    pub(crate) fn look_up_entry<'a>(
        &'a self,
        section: &'a Section,
        hash: KeyHash,
        key: &[u8],
        map_key: &[u8],
    ) -> Result<Lookup<'a>, Damage> {
        let Some((head, group, cursor)) = self.find(section, hash, key)? else {
            self.content.check_lost()?;
            return Ok(Lookup::Absent);
        };
        let run = self.run(head, group, &cursor)?;
        let found = match run.slots {
            None => find_by_walk(&run, Cursor::new(&self.content, run.start, run.end), map_key)?,
            Some((slots, at)) => self.find_by_slots(&run, slots, at, map_key)?,
        };
        self.content.check_lost()?;
        Ok(match found {
            Lookup::Absent if run.is_after_delete => Lookup::Tombstone,
            found => found,
        })
    }

    /// The map whose record's head and key are in front of the cursor.
    pub(crate) fn run(
        &self,
        head: Head,
        group: &Group,
        cursor: &Cursor<'_>,
    ) -> Result<Run, Damage> {
        let start = cursor.at();
        if head.kind != LONG_RUN {
            let mut behind = Cursor::new(&self.content, start, group.data_end);
            behind.skip(head.number)?;
            let is_after_delete = head.kind == RUN_AFTER_DELETE;
            return Ok(Run { is_after_delete, start, end: behind.at(), slots: None });
        }
        let ordinal = u32::try_from(head.number).ok().filter(|ordinal| *ordinal < group.runs);
        let ordinal = ordinal.ok_or_else(|| cursor.malformed("a long run", head.number))?;
        let records = group.index + (group.buckets as usize + 1) * BUCKET;
        let at = records + ordinal as usize * RUN;
        let record = self.content.slice(at, RUN)?;
        let number = |index: usize| {
            let bytes = record[8 * index..8 * index + 8].try_into();
            u64::from_le_bytes(bytes.expect("a record has five numbers"))
        };
        let malformed = |expected, found| Err(Damage::Malformed { offset: at, expected, found });
        let mut behind = Cursor::new(&self.content, start, group.data_end);
        behind.skip(number(1))?;
        if number(0) != (start - group.data) as u64 {
            return malformed("the record of this run", number(0));
        }
        let bits = number(4).to_le_bytes();
        let [count @ .., width, offset_bits, flags, reserved] = bits;
        let slots = Slots { count: u32::from_le_bytes(count), width, offset_bits };
        let fits = matches!(width, 4 | 8) && offset_bits <= 40 && offset_bits < 8 * width;
        if !fits || slots.count == 0 || flags > 1 || reserved != 0 {
            return malformed("a table of slots", number(4));
        }
        let tables = records + group.runs as usize * RUN;
        let table = usize::try_from(number(2)).ok().and_then(|offset| tables.checked_add(offset));
        let end = table.and_then(|table| {
            table.checked_add((slots.count as usize).checked_mul(usize::from(width))?)
        });
        match (table, end) {
            (Some(table), Some(end)) if end <= group.index_end => {
                let slots = Some((slots, table));
                Ok(Run { is_after_delete: flags == 1, start, end: behind.at(), slots })
            }
            _ => malformed("slots within the index", number(2)),
        }
    }

    /// Moves behind the payload of the record whose head and key are in front of the cursor.
    #[inline]
    fn skip_payload(
        &self,
        head: Head,
        section: &Section,
        group: &Group,
        cursor: &mut Cursor<'_>,
    ) -> Result<(), Damage> {
        if section.layout == crate::layout::Layout::Map && head.kind == LONG_RUN {
            let run = self.run(head, group, cursor)?;
            return cursor.skip((run.end - run.start) as u64);
        }
        cursor.skip(head.number)
    }

    fn find_by_slots(
        &self,
        run: &Run,
        slots: Slots,
        table: usize,
        map_key: &[u8],
    ) -> Result<Lookup<'_>, Damage> {
        let hash = xxh3_64(map_key);
        let tag = slots.taken(hash, 0);
        let first = slots.first(hash);
        let width = usize::from(slots.width);
        for slot in (first..slots.count).chain(0..first) {
            let mut word = [0; 8];
            let at = table + slot as usize * width;
            word[..width].copy_from_slice(self.content.slice(at, width)?);
            let word = u64::from_le_bytes(word);
            if word == slots.free() {
                break;
            }
            if word & !slots.offset_mask() != tag {
                continue;
            }
            let offset = usize::try_from(word & slots.offset_mask()).unwrap_or(usize::MAX);
            if offset >= run.end - run.start {
                let expected = "an entry within the run";
                return Err(Damage::Malformed { offset: at, expected, found: word });
            }
            let mut cursor = Cursor::new(&self.content, run.start + offset, run.end);
            let head = cursor.head()?;
            if cursor.take(head.key)? == map_key {
                return value(head, &mut cursor);
            }
        }
        Ok(Lookup::Absent)
    }
}

/// Entries are sorted by map key, and there are few.
fn find_by_walk<'a>(
    run: &Run,
    mut cursor: Cursor<'a>,
    map_key: &[u8],
) -> Result<Lookup<'a>, Damage> {
    debug_assert!(run.slots.is_none());
    while !cursor.is_at_end() {
        let head = cursor.head()?;
        let found = cursor.take(head.key)?;
        if found == map_key {
            return value(head, &mut cursor);
        }
        if found > map_key {
            break;
        }
        cursor.skip(head.number)?;
    }
    Ok(Lookup::Absent)
}

/// The value of a record or a map's entry whose head and key are in front of the cursor.
#[inline]
pub(crate) fn value<'a>(head: Head, cursor: &mut Cursor<'a>) -> Result<Lookup<'a>, Damage> {
    match head.kind {
        PUT => cursor.take_number(head.number).map(Lookup::Found),
        DELETE if head.number == 0 => Ok(Lookup::Tombstone),
        kind => Err(cursor.malformed("a value or a deletion", kind.into())),
    }
}
