//! Writing a segment as one stream.
//!
//! Invariants:
//! - entries come in the order of the file, and a place is taken once; what breaks this panics,
//!   since a reader would not find what was written;
//! - memory is bounded: 1 MiB of output, 16 bytes for each key of the largest key group and for
//!   each entry of the largest map in it, 6 or 11 more for each entry of its maps of more than 16, 8
//!   for each 16 KiB written, 88 for each key group of each state.

mod group;
mod output;
mod previous;
mod run;
mod section;

use std::collections::HashSet;
use std::fmt;
use std::io::Write;
use std::sync::Arc;

use tidegate_types::{KeyHash, RegisteredState};
use xxhash_rust::xxh3::xxh3_64;

use crate::directory;
use crate::frame::{self, Footer};
use crate::layout::{FRAME, Layout, PAGE_ENTRIES, SPARSE_INTERVAL, place};
use crate::record::{self, MAX_HEAD, MAX_NUMBER};
use crate::{Change, KeyedEntry, Origin, SegmentError, Statistics, TimerEntry};

use output::Output;
use section::{Section, checked};

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentSummary {
    /// The length of the file in bytes.
    pub length: u64,
    /// What each state has, in the order in which they were begun.
    pub states: Vec<(Arc<str>, Statistics)>,
}

/// Writes a segment in one pass, state by state, each sorted by
/// [`KeyedEntry::cmp_place`] (timers: by key group, then [`TimerEntry::cmp_place`]).
///
/// Dropped before [`finish`](Self::finish), it leaves bytes in `out` that no reader accepts.
///
/// Memory: 1 MiB; 16 bytes for each key of the largest key group; up to 27 bytes for each entry of
/// maps of more than 16 entries in one key group; 0.05 % of what was written.
pub struct SegmentWriter<W> {
    output: Output<W>,
    origin: Origin,
    header_checksum: u64,
    names: HashSet<Arc<str>>,
    /// Of the states before the current one.
    directory: Vec<u8>,
    summaries: Vec<(Arc<str>, Statistics)>,
    section: Option<Section>,
}

impl<W: Write> SegmentWriter<W> {
    /// Writes the header.
    ///
    /// Do not wrap `out` in a buffer: writes are of 1 MiB, except the last two.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Write`], of this and of all other methods, when `out` fails.
    ///
    /// # Panics
    ///
    /// When the key groups of the origin are not below its maximum parallelism.
    pub fn new(out: W, origin: Origin) -> Result<Self, SegmentError> {
        let (last, max) = (origin.key_groups.last(), origin.max_parallelism);
        assert!(last.get() < max.get(), "key group {last} of only {max}");
        let header = frame::header(&origin);
        let mut output = Output::new(out);
        output.append(&header)?;
        Ok(Self {
            output,
            origin,
            header_checksum: frame::checksum(&header),
            names: HashSet::new(),
            directory: Vec::new(),
            summaries: Vec::new(),
            section: None,
        })
    }

    /// Ends the previous state and begins the next one. What follows are its entries, by
    /// [`write_timer`](Self::write_timer) if it is of
    /// [`StateKind::Timer`](tidegate_types::StateKind), otherwise by [`write`](Self::write).
    ///
    /// # Panics
    ///
    /// When a state of this name was begun before, or the state is operator state.
    pub fn begin_state(&mut self, state: &RegisteredState) -> Result<(), SegmentError> {
        self.end_state()?;
        let layout = Layout::of(state.kind);
        let layout = layout.unwrap_or_else(|| panic!("{} is no keyed state", state.kind));
        assert!(
            self.names.insert(Arc::clone(&state.name)),
            "state {:?} was begun before",
            state.name
        );
        self.section = Some(Section::new(state.clone(), layout));
        Ok(())
    }

    /// Adds the value of a key: [`write`](Self::write) of a [`Change::Put`], which most entries are.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    ///
    /// # Panics
    ///
    /// As [`write`](Self::write), and when the state is of maps.
    pub fn put(&mut self, hash: KeyHash, key: &[u8], value: &[u8]) -> Result<(), SegmentError> {
        let section = self.section.as_mut().expect("a state is begun before its entries");
        assert_eq!(section.layout, Layout::Value, "a value in state {:?}", section.state.name);
        go_to(section, &self.origin, &mut self.output, (hash, key), None)?;
        section.group.counts.puts += 1;
        section.key_record(record::PUT, (hash, key), value, &mut self.output)
    }

    /// Adds an entry of the state begun last.
    ///
    /// # Errors
    ///
    /// [`SegmentError::TooLong`] when a key or value has 4 GiB or more, or the key group 1 TiB.
    ///
    /// # Panics
    ///
    /// When the entry is not behind the previous one, its hash is not that of its key, its key
    /// group is outside of the origin's, or its change is none of the state's kind.
    pub fn write(&mut self, entry: &KeyedEntry<'_>) -> Result<(), SegmentError> {
        let KeyedEntry { hash, key, change } = *entry;
        let section = self.section.as_mut().expect("a state is begun before its entries");
        go_to(section, &self.origin, &mut self.output, (hash, key), change.map_key())?;
        match (section.layout, change) {
            (Layout::Value, Change::Put(value)) => {
                section.group.counts.puts += 1;
                section.key_record(record::PUT, (hash, key), value, &mut self.output)
            }
            (Layout::Value, Change::Delete) => {
                section.count_tombstone(key);
                section.key_record(record::DELETE, (hash, key), &[], &mut self.output)
            }
            (Layout::Map, Change::Delete) => {
                section.count_tombstone(key);
                section.run.is_after_delete = true;
                Ok(())
            }
            (Layout::Map, Change::PutEntry { map_key, value }) => {
                section.group.counts.puts += 1;
                section.map_entry(record::PUT, map_key, value, &mut self.output)
            }
            (Layout::Map, Change::DeleteEntry { map_key }) => {
                section.count_tombstone(map_key);
                section.map_entry(record::DELETE, map_key, &[], &mut self.output)
            }
            (layout, change) => panic!("{change:?} in a section of layout {layout:?}"),
        }
    }

    /// Adds a timer of the state begun last.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    ///
    /// # Panics
    ///
    /// As [`write`](Self::write), and when the state has no timers.
    pub fn write_timer(&mut self, timer: &TimerEntry<'_>) -> Result<(), SegmentError> {
        let section = self.section.as_mut().expect("a state is begun before its timers");
        assert_eq!(section.layout, Layout::Timers, "a timer in state {:?}", section.state.name);
        assert_eq!(timer.hash, KeyHash::of_bytes(timer.key), "hash of key {:02x?}", timer.key);
        let (number, _) = place(self.origin.max_parallelism, timer.hash);
        if section.current != Some(number) {
            section.enter(number, &self.origin, &mut self.output)?;
            section.previous.hash = None;
        }
        section.previous.advance_to_timer(timer);
        let length = checked(timer.key.len() as u64, "a key", u32::MAX.into(), &section.state)?;
        let offset = self.output.position() - section.group.start;
        checked(offset, "a key group", MAX_NUMBER, &section.state)?;
        if section.group.counts.keys.is_multiple_of(SPARSE_INTERVAL) {
            section.group.rows.push((timer.time_ms.cast_unsigned(), offset));
        }
        section.group.note(timer.time_ms.cast_unsigned());
        let kind = if timer.is_tombstone { record::DELETE } else { record::PUT };
        let mut head = [0; MAX_HEAD];
        let head_length = record::write_varint(&mut head, length << 2 | u64::from(kind));
        self.output.append(&head[..head_length])?;
        self.output.append(&timer.time_ms.to_le_bytes())?;
        self.output.append(timer.key)?;
        let counts = &mut section.group.counts;
        if timer.is_tombstone {
            counts.tombstones += 1;
            counts.tombstone_bytes += (head_length + 8 + timer.key.len()) as u64;
        } else {
            counts.puts += 1;
        }
        Ok(())
    }

    /// Bytes written so far, those still buffered included.
    pub fn length(&self) -> u64 {
        self.output.position()
    }

    /// Writes directory and footer, and gives back `out` to be made durable.
    pub fn finish(mut self) -> Result<(W, SegmentSummary), SegmentError> {
        self.end_state()?;
        let body = self.output.position();
        let mut table = Vec::new();
        for checksum in self.output.end_chunks()? {
            table.extend_from_slice(&checksum.to_le_bytes());
        }
        let mut directory = Vec::new();
        push_count(&mut directory, self.summaries.len());
        directory.append(&mut self.directory);
        push_count(&mut directory, table.len().div_ceil(8 * PAGE_ENTRIES));
        for page in table.chunks(8 * PAGE_ENTRIES) {
            directory.extend_from_slice(&xxh3_64(page).to_le_bytes());
        }
        self.output.append(&table)?;
        let footer = Footer {
            length: self.output.position() + (directory.len() + FRAME) as u64,
            body,
            directory: self.output.position(),
            directory_length: directory.len() as u64,
            directory_checksum: xxh3_64(&directory),
            header_checksum: self.header_checksum,
        };
        self.output.append(&directory)?;
        self.output.append(&footer.seal())?;
        let summary = SegmentSummary { length: footer.length, states: self.summaries };
        Ok((self.output.finish()?, summary))
    }

    fn end_state(&mut self) -> Result<(), SegmentError> {
        let Some(mut section) = self.section.take() else { return Ok(()) };
        section.end_run(&mut self.output)?;
        section.end_group(&self.origin, &mut self.output)?;
        let groups = u32::try_from(section.records.len()).expect("at most 32,768 key groups");
        directory::write_state(&section.state, groups, &mut self.directory);
        section.records.iter().for_each(|record| record.write(&mut self.directory));
        self.summaries.push((Arc::clone(&section.state.name), section.statistics));
        Ok(())
    }
}

/// Goes to the place of an entry, which must be behind the previous one.
#[inline]
fn go_to<W: Write>(
    section: &mut Section,
    origin: &Origin,
    output: &mut Output<W>,
    (hash, key): (KeyHash, &[u8]),
    map_key: Option<&[u8]>,
) -> Result<(), SegmentError> {
    if section.previous.has_key_before(hash, key, map_key) {
        assert_eq!(hash, KeyHash::of_bytes(key), "hash of key {key:02x?}");
        section.end_run(output)?;
        let (number, _) = place(origin.max_parallelism, hash);
        section.enter(number, origin, output)?;
        section.group.note(hash.get());
        section.previous.set_key(hash, key);
    }
    section.previous.set_map_key(map_key);
    Ok(())
}

fn push_count(bytes: &mut Vec<u8>, count: usize) {
    let count = u32::try_from(count).expect("fewer than 2^32 states and pages");
    bytes.extend_from_slice(&count.to_le_bytes());
}

impl<W> fmt::Debug for SegmentWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentWriter")
            .field("origin", &self.origin)
            .field("states", &self.names)
            .finish_non_exhaustive()
    }
}
