//! Point look-ups: one line of the index, then one record of the data.

use tidegate_types::KeyHash;
use xxhash_rust::xxh3::xxh3_64;

use crate::content::Damage;
use crate::cursor::Cursor;
use crate::directory::{Group, Section};
use crate::index::{Coding, LINE, scale};
use crate::layout::{RUN, place};
use crate::record::{DELETE, Head, LONG_RUN, PUT, RUN_AFTER_DELETE};
use crate::{Lookup, Segment};

/// The entries of one map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) is_after_delete: bool,
    /// Where its entries are in the file.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Short runs have none.
    lines: Option<Lines>,
}

/// Where an index and the records under it are in the file.
#[derive(Clone, Copy, Debug)]
struct Lines {
    coding: Coding,
    start: usize,
    homes: u32,
    count: u32,
    data: usize,
    data_end: usize,
}

/// A record whose key is the one sought.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    pub(crate) head: Head,
    /// Where the payload begins in the file.
    pub(crate) payload: usize,
    /// What is known of it to be verified already; may be less than all of it.
    window: &'a [u8],
    data_end: usize,
}

impl Segment {
    /// Finds the record of a key, and its group.
    #[inline]
    pub(crate) fn find<'a>(
        &'a self,
        section: &'a Section,
        hash: KeyHash,
        key: &[u8],
    ) -> Result<Option<(Found<'a>, &'a Group)>, Damage> {
        let (number, fraction) = place(self.origin().max_parallelism, hash);
        let Some(group) = section.group(number) else { return Ok(None) };
        let lines = Lines {
            coding: group.coding,
            start: group.index,
            homes: group.homes,
            count: group.lines,
            data: group.data,
            data_end: group.data_end,
        };
        let found = self.find_in(&lines, fraction, hash.get(), key)?;
        Ok(found.map(|found| (found, group)))
    }

    /// Finds the record of a key, or of a map key, under an index.
    #[inline]
    fn find_in(
        &self,
        lines: &Lines,
        fraction: u64,
        hash: u64,
        key: &[u8],
    ) -> Result<Option<Found<'_>>, Damage> {
        for line in scale(fraction, lines.homes)..lines.count {
            let at = lines.start + line as usize * LINE;
            let slots = self.content.slice(at, LINE)?;
            let slots = slots.first_chunk::<LINE>().expect("a line was taken");
            let mut candidates = lines.coding.candidates(slots, hash);
            while let Some(offset) = lines.coding.next(slots, &mut candidates) {
                let offset = usize::try_from(offset).unwrap_or(usize::MAX);
                if offset >= lines.data_end - lines.data {
                    let expected = "a record within the data";
                    return Err(Damage::Malformed { offset: at, expected, found: offset as u64 });
                }
                if let Some(found) = self.match_key(lines.data + offset, lines.data_end, key)? {
                    return Ok(Some(found));
                }
            }
            if candidates.is_last {
                break;
            }
        }
        Ok(None)
    }

    /// The record here, if it is the key's.
    #[inline]
    fn match_key(
        &self,
        at: usize,
        data_end: usize,
        key: &[u8],
    ) -> Result<Option<Found<'_>>, Damage> {
        let window = self.content.window(at, data_end)?;
        if let Some(head) = Head::read(window)
            && let Some(found) = window.get(head.length..).and_then(|rest| rest.get(..head.key))
        {
            let start = head.length + head.key;
            let (payload, window) = (at + start, &window[start..]);
            let found = is_same(found, key).then_some(Found { head, payload, window, data_end });
            return Ok(found);
        }
        self.match_key_over_chunks(at, data_end, key)
    }

    /// As `match_key`, where a head or a key goes from one chunk into the next.
    #[cold]
    fn match_key_over_chunks(
        &self,
        at: usize,
        data_end: usize,
        key: &[u8],
    ) -> Result<Option<Found<'_>>, Damage> {
        let mut cursor = Cursor::new(&self.content, at, data_end);
        let head = cursor.head()?;
        let is_same = cursor.take(head.key)? == key;
        let payload = cursor.at();
        Ok(is_same.then_some(Found { head, payload, window: &[], data_end }))
    }

    /// The value of a record or of a map's entry.
    #[inline]
    fn value_of<'a>(&'a self, found: &Found<'a>) -> Result<Lookup<'a>, Damage> {
        let number = usize::try_from(found.head.number).unwrap_or(usize::MAX);
        match found.window.get(..number) {
            Some(bytes) if found.head.kind == PUT => Ok(Lookup::Found(bytes)),
            _ => value(found.head, &mut Cursor::new(&self.content, found.payload, found.data_end)),
        }
    }

    #[inline]
    pub(crate) fn look_up<'a>(
        &'a self,
        section: &'a Section,
        hash: KeyHash,
        key: &[u8],
    ) -> Result<Lookup<'a>, Damage> {
        let found = match self.find(section, hash, key)? {
            None => Lookup::Absent,
            Some((found, _)) => self.value_of(&found)?,
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
        let Some((found, group)) = self.find(section, hash, key)? else {
            self.content.check_lost()?;
            return Ok(Lookup::Absent);
        };
        let run = self.run(found.head, found.payload, group)?;
        let found = match run.lines {
            None => find_by_walk(Cursor::new(&self.content, run.start, run.end), map_key)?,
            Some(lines) => {
                let hash = xxh3_64(map_key);
                match self.find_in(&lines, hash, hash, map_key)? {
                    None => Lookup::Absent,
                    Some(found) => self.value_of(&found)?,
                }
            }
        };
        self.content.check_lost()?;
        Ok(match found {
            Lookup::Absent if run.is_after_delete => Lookup::Tombstone,
            found => found,
        })
    }

    /// The map whose record has this head, and its payload here.
    pub(crate) fn run(&self, head: Head, start: usize, group: &Group) -> Result<Run, Damage> {
        let mut behind = Cursor::new(&self.content, start, group.data_end);
        if head.kind != LONG_RUN {
            behind.skip(head.number)?;
            let is_after_delete = head.kind == RUN_AFTER_DELETE;
            return Ok(Run { is_after_delete, start, end: behind.at(), lines: None });
        }
        let ordinal = u32::try_from(head.number).ok().filter(|ordinal| *ordinal < group.runs);
        let ordinal = ordinal.ok_or_else(|| behind.malformed("a long run", head.number))?;
        let records = group.index + group.lines as usize * LINE;
        let at = records + ordinal as usize * RUN;
        let record = self.content.slice(at, RUN)?;
        let number = |index: usize| {
            let bytes = record[8 * index..8 * index + 8].try_into();
            u64::from_le_bytes(bytes.expect("a record has six numbers"))
        };
        let malformed = |expected, found| Err(Damage::Malformed { offset: at, expected, found });
        behind.skip(number(1))?;
        if number(0) != (start - group.data) as u64 {
            return malformed("the record of this run", number(0));
        }
        let homes = u32::try_from(number(4) & u64::from(u32::MAX)).unwrap_or(0);
        let count = u32::try_from(number(4) >> 32).unwrap_or(0);
        let end = behind.at();
        if homes == 0 || count < homes || number(5) > 1 || start == end {
            return malformed("a long run with its lines", number(4));
        }
        let tables = (records + group.runs as usize * RUN).next_multiple_of(LINE);
        let offset = usize::try_from(number(3)).ok().and_then(|line| line.checked_mul(LINE));
        let table = offset.and_then(|offset| tables.checked_add(offset));
        let table_end = table.and_then(|table| table.checked_add(count as usize * LINE));
        match (table, table_end) {
            (Some(table), Some(table_end)) if table_end <= group.index_end => {
                let coding = Coding::new(number(1));
                let lines =
                    Lines { coding, start: table, homes, count, data: start, data_end: end };
                Ok(Run { is_after_delete: number(5) == 1, start, end, lines: Some(lines) })
            }
            _ => malformed("lines within the index", number(3)),
        }
    }
}

/// Keys are short: for the most frequent length, without a call.
#[inline]
fn is_same(found: &[u8], key: &[u8]) -> bool {
    match (found.first_chunk::<8>(), key.first_chunk::<8>()) {
        (Some(a), Some(b)) if found.len() == 8 && key.len() == 8 => a == b,
        _ => found == key,
    }
}

/// Entries are sorted by map key, and there are few.
fn find_by_walk<'a>(mut cursor: Cursor<'a>, map_key: &[u8]) -> Result<Lookup<'a>, Damage> {
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
