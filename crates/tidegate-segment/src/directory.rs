//! The directory: which states a segment has, and where each key group of them lies.
//!
//! ```text
//! u32 number of states
//! state:     u8 kind, 3 bytes 0, u32 schema version, u64 fingerprint,
//!            u32 length, name, u32 length, types, u32 number of key groups, then those
//! key group: 88 bytes, see `GroupRecord::write`
//! u32 number of pages of the checksum table, u64 checksum of each
//! ```
//!
//! Invariants of a decoded directory: states have different names; the key groups of a state
//! ascend and are the segment's; their data and indexes lie in the body, one behind the other.

use std::ops::Range;
use std::sync::Arc;

use tidegate_types::{KeyGroup, KeyGroupRange, RegisteredState};

use crate::Statistics;
use crate::content::Damage;
use crate::index::{Coding, LINE};
use crate::layout::{FRAME, Layout, RUN, SPARSE, kind_of_tag, tag_of_kind};
use crate::record::MAX_NUMBER;

/// Where a key group of a state lies, as the writer notes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupRecord {
    pub(crate) number: u16,
    pub(crate) data: u64,
    /// Home lines of the index; of timers, records of the sparse index.
    pub(crate) homes: u32,
    pub(crate) lines: u32,
    pub(crate) runs: u32,
    pub(crate) statistics: Statistics,
    pub(crate) minimum: u64,
    pub(crate) maximum: u64,
}

impl GroupRecord {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let numbers = [self.data, self.statistics.data_bytes, self.statistics.index_bytes];
        out.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        out.extend_from_slice(&self.homes.to_le_bytes());
        out.extend_from_slice(&self.runs.to_le_bytes());
        let Statistics { keys, puts, tombstones, tombstone_bytes, .. } = self.statistics;
        let numbers = [keys, puts, tombstones, tombstone_bytes, self.minimum, self.maximum];
        out.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        out.extend_from_slice(&self.lines.to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
    }
}

/// Where a key group of a state lies, checked.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) number: u16,
    /// How slots of the index point into the data.
    pub(crate) coding: Coding,
    pub(crate) homes: u32,
    pub(crate) lines: u32,
    pub(crate) runs: u32,
    /// All offsets are of the file.
    pub(crate) data: usize,
    pub(crate) data_end: usize,
    pub(crate) index: usize,
    pub(crate) index_end: usize,
    pub(crate) statistics: Statistics,
    pub(crate) minimum: u64,
    pub(crate) maximum: u64,
}

/// A state and where its key groups lie.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) state: RegisteredState,
    pub(crate) layout: Layout,
    pub(crate) groups: Vec<Group>,
}

impl Section {
    #[inline]
    pub(crate) fn group(&self, number: u16) -> Option<&Group> {
        let first = self.groups.first()?.number;
        // Most often all groups from the first on are there.
        let guess = self.groups.get(usize::from(number.checked_sub(first)?));
        if let Some(group) = guess.filter(|group| group.number == number) {
            return Some(group);
        }
        let index = self.groups.binary_search_by_key(&number, |group| group.number).ok()?;
        self.groups.get(index)
    }

    /// The groups in a range.
    pub(crate) fn within(&self, range: KeyGroupRange) -> &[Group] {
        let start = self.groups.partition_point(|group| group.number < range.first().get());
        let end = self.groups.partition_point(|group| group.number <= range.last().get());
        &self.groups[start..end]
    }
}

/// A decoded directory.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    pub(crate) sections: Vec<Section>,
    /// Checksums of the pages of the checksum table.
    pub(crate) pages: Vec<u64>,
}

/// The bytes in front of the first key group of a state.
pub(crate) fn write_state(state: &RegisteredState, groups: u32, out: &mut Vec<u8>) {
    let tag = tag_of_kind(state.kind).expect("a state with another kind is never begun");
    out.extend_from_slice(&[tag, 0, 0, 0]);
    out.extend_from_slice(&state.schema_version.to_le_bytes());
    out.extend_from_slice(&state.fingerprint.to_le_bytes());
    for text in [&state.name, &state.types] {
        let length = u32::try_from(text.len()).expect("a name is shorter than 4 GiB");
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(&groups.to_le_bytes());
}

/// Decodes a directory whose checksum was verified. `offset` is where it is in the file, `body` how
/// many bytes are in front of the checksum table.
pub(crate) fn decode(
    bytes: &[u8],
    offset: usize,
    body: usize,
    range: KeyGroupRange,
) -> Result<Directory, Damage> {
    let mut reader = Reader { bytes, at: 0, offset };
    let count = reader.u32("number of states")?;
    let mut sections: Vec<Section> = Vec::new();
    let mut free = FRAME..body;
    for _ in 0..count {
        let section = section(&mut reader, &mut free, range)?;
        if sections.iter().any(|other| other.state.name == section.state.name) {
            return Err(reader.malformed("a name that no other state has", sections.len() as u64));
        }
        sections.push(section);
    }
    let count = reader.u32("number of pages")?;
    let mut pages = Vec::new();
    for _ in 0..count {
        pages.push(reader.u64("checksum of a page")?);
    }
    match bytes.len() - reader.at {
        0 => Ok(Directory { sections, pages }),
        left => Err(reader.malformed("nothing behind the directory", left as u64)),
    }
}

fn section(
    reader: &mut Reader<'_>,
    free: &mut Range<usize>,
    range: KeyGroupRange,
) -> Result<Section, Damage> {
    let [tag, reserved @ ..] = reader.take::<4>("kind of a state")?;
    let kind = kind_of_tag(tag).filter(|_| reserved == [0; 3]);
    let kind = kind.ok_or_else(|| reader.malformed("kind of a state", tag.into()))?;
    let layout = Layout::of(kind).expect("every kind with a number has a layout");
    let schema_version = reader.u32("schema version")?;
    let fingerprint = reader.u64("fingerprint")?;
    let (name, types) = (reader.text("name of a state")?, reader.text("types of a state")?);
    let count = reader.u32("number of key groups")?;
    let mut groups: Vec<Group> = Vec::new();
    for _ in 0..count {
        let group = group(reader, layout, free)?;
        let ascends = groups.last().is_none_or(|last| last.number < group.number);
        if !ascends || !range.contains(KeyGroup::new(group.number)) {
            let expected = "ascending key groups of the segment";
            return Err(reader.malformed(expected, group.number.into()));
        }
        groups.push(group);
    }
    let state = RegisteredState { name, kind, fingerprint, schema_version, types };
    Ok(Section { state, layout, groups })
}

fn group(
    reader: &mut Reader<'_>,
    layout: Layout,
    free: &mut Range<usize>,
) -> Result<Group, Damage> {
    let data = reader.size("offset of data", free.end)?;
    let data_bytes = reader.size("length of data", free.end)?;
    let index_bytes = reader.size("length of an index", free.end)?;
    let (homes, runs) = (reader.u32("number of home lines")?, reader.u32("number of long runs")?);
    let mut statistics = Statistics {
        data_bytes: data_bytes as u64,
        index_bytes: index_bytes as u64,
        ..Statistics::default()
    };
    statistics.keys = reader.u64("number of keys")?;
    statistics.puts = reader.u64("number of puts")?;
    statistics.tombstones = reader.u64("number of tombstones")?;
    statistics.tombstone_bytes = reader.u64("bytes of tombstones")?;
    let (minimum, maximum) = (reader.u64("minimum")?, reader.u64("maximum")?);
    let lines = reader.u32("number of lines")?;
    let [low, high, reserved @ ..] = reader.take::<4>("number of a key group")?;
    if data < free.start || reserved != [0; 2] {
        return Err(reader.malformed("data behind what precedes them", data as u64));
    }
    // Each is at most the body, so that no sum overflows.
    let data_end = data + data_bytes;
    let index = data_end.next_multiple_of(LINE);
    let index_end = index + index_bytes;
    let (homes_bytes, lines_bytes) = (homes as usize * SPARSE, lines as usize * LINE);
    let runs_bytes = runs as usize * RUN;
    let fits = match layout {
        Layout::Value => lines >= homes && runs == 0 && index_bytes == lines_bytes,
        Layout::Map => lines >= homes && index_bytes >= lines_bytes + runs_bytes,
        Layout::Timers => lines == 0 && runs == 0 && index_bytes == homes_bytes,
    };
    if !fits || index_end > free.end || homes == 0 || data_bytes as u64 > MAX_NUMBER {
        return Err(reader.malformed("an index within the body", index_end as u64));
    }
    free.start = index_end;
    Ok(Group {
        number: u16::from_le_bytes([low, high]),
        coding: Coding::new(data_bytes as u64),
        homes,
        lines,
        runs,
        data,
        data_end,
        index,
        index_end,
        statistics,
        minimum,
        maximum,
    })
}

/// A place in the directory, moved on by what is taken.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    offset: usize,
}

impl<'a> Reader<'a> {
    fn malformed(&self, expected: &'static str, found: u64) -> Damage {
        Damage::Malformed { offset: self.offset + self.at, expected, found }
    }

    fn slice(&mut self, length: usize, expected: &'static str) -> Result<&'a [u8], Damage> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.get(..length).ok_or_else(|| self.malformed(expected, length as u64))?;
        self.at += length;
        Ok(taken)
    }

    fn take<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], Damage> {
        Ok(self.slice(N, expected)?.try_into().expect("as long as was taken"))
    }

    fn u32(&mut self, expected: &'static str) -> Result<u32, Damage> {
        self.take(expected).map(u32::from_le_bytes)
    }

    fn u64(&mut self, expected: &'static str) -> Result<u64, Damage> {
        self.take(expected).map(u64::from_le_bytes)
    }

    fn size(&mut self, expected: &'static str, limit: usize) -> Result<usize, Damage> {
        let found = self.u64(expected)?;
        let size = usize::try_from(found).ok().filter(|size| *size <= limit);
        size.ok_or_else(|| self.malformed(expected, found))
    }

    fn text(&mut self, expected: &'static str) -> Result<Arc<str>, Damage> {
        let length = self.u32(expected)?;
        let bytes = self.slice(length as usize, expected)?;
        let text = std::str::from_utf8(bytes);
        text.map(Arc::from).map_err(|error| self.malformed(expected, error.valid_up_to() as u64))
    }
}
