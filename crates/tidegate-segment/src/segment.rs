//! An open segment: what it is, and what it says of a key.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tidegate_types::{KeyGroup, KeyGroupRange, KeyHash, RegisteredState};
use xxhash_rust::xxh3::xxh3_64;

use crate::content::{Bytes, Content, Damage};
use crate::directory::{self, Directory, Group, Section};
use crate::frame::{self, Footer};
use crate::layout::{CHUNK, FRAME, Layout, PAGE_ENTRIES, VERSION};
use crate::{Entries, Lookup, Mapping, Origin, Part, SegmentError, Statistics, Timers};

/// The number of a state within one segment: the position at which it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateNumber(pub(crate) u32);

/// An immutable file of keyed state, shared by any number of threads.
///
/// # Panics
///
/// All methods that take a [`StateNumber`] panic when it is another segment's and this one has
/// fewer states, and those that take keys when the state has another layout: `get` on map state,
/// `get_entry` on any other, `timer` and `timers` on what are no timers.
#[derive(Debug)]
pub struct Segment {
    pub(crate) content: Content,
    pub(crate) sections: Vec<Section>,
    path: PathBuf,
    origin: Origin,
}

impl Segment {
    /// Maps a finished segment. The work does not depend on the number of entries: header, footer
    /// and directory are verified here, chunks of entries when they are first touched.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Open`] and [`SegmentError::Map`] as for [`Mapping::open`], and whatever is
    /// wrong with the bytes.
    pub fn open(path: &Path) -> Result<Self, SegmentError> {
        Self::new(path, Bytes::Mapped(Mapping::open(path)?))
    }

    /// Reads a segment into memory instead of mapping it: for files that others may modify while
    /// they are open, and for file systems without mmap. Takes as much memory as the file is long.
    pub fn open_copied(path: &Path) -> Result<Self, SegmentError> {
        let failed = |source| SegmentError::Open { path: path.to_owned(), source };
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
        }
        Self::new(path, Bytes::Owned(fs::read(path).map_err(failed)?))
    }

    /// The segment with these bytes; `path` is for messages.
    pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Self, SegmentError> {
        Self::new(path, Bytes::Owned(bytes))
    }

    fn new(path: &Path, bytes: Bytes) -> Result<Self, SegmentError> {
        let opened = decode(bytes.all()).and_then(|decoded| {
            if let Bytes::Mapped(mapping) = &bytes
                && mapping.is_lost()
            {
                return Err(Damage::Lost);
            }
            Ok(decoded)
        });
        let (origin, body, directory) = match opened {
            Ok(decoded) => decoded,
            Err(damage) => {
                let held = |offset| part_of_frame(offset, bytes.all().len());
                return Err(explain(damage, path, &bytes, held));
            }
        };
        let content = Content::new(bytes, body, directory.pages);
        Ok(Self { content, sections: directory.sections, path: path.to_owned(), origin })
    }

    /// The path under which it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's length in bytes.
    pub fn length(&self) -> u64 {
        self.content.bytes().all().len() as u64
    }

    /// The whole file, unverified: for copying it. Ask [`check_intact`](Self::check_intact) after.
    pub fn bytes(&self) -> &[u8] {
        self.content.bytes().all()
    }

    /// Who made it, of which keys.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The states in it.
    pub fn states(&self) -> impl Iterator<Item = (StateNumber, &RegisteredState)> {
        (0..).map(StateNumber).zip(self.sections.iter().map(|section| &section.state))
    }

    /// The number of a state, if the segment has it.
    pub fn state(&self, name: &str) -> Option<StateNumber> {
        self.states().find(|(_, state)| &*state.name == name).map(|(number, _)| number)
    }

    /// How much it has of a state in some key groups.
    pub fn statistics(&self, state: StateNumber, key_groups: KeyGroupRange) -> Statistics {
        let mut sum = Statistics::default();
        for group in self.section(state).within(key_groups) {
            sum += group.statistics;
        }
        sum
    }

    /// The key groups in which a state has anything, ascending.
    pub fn key_groups(&self, state: StateNumber) -> impl Iterator<Item = KeyGroup> + '_ {
        self.section(state).groups.iter().map(|group| KeyGroup::new(group.number))
    }

    /// What it says of a key, in a state that is no map. Two cache misses when it is there, mostly
    /// one when it is not. The value lies in the mapping, at any alignment.
    #[inline]
    pub fn get(
        &self,
        state: StateNumber,
        hash: KeyHash,
        key: &[u8],
    ) -> Result<Lookup<'_>, SegmentError> {
        let section = self.section_of(state, Layout::Value);
        self.look_up(section, hash, key).map_err(|damage| self.explain(damage))
    }

    /// What it says of an entry of a key's map. A map deleted as a whole has tombstones for all
    /// entries that were not put afterwards.
    pub fn get_entry(
        &self,
        state: StateNumber,
        hash: KeyHash,
        key: &[u8],
        map_key: &[u8],
    ) -> Result<Lookup<'_>, SegmentError> {
        let section = self.section_of(state, Layout::Map);
        self.look_up_entry(section, hash, key, map_key).map_err(|damage| self.explain(damage))
    }

    /// All entries of one key: of a map, `Delete` first if it was deleted, then its entries.
    pub fn entries_of_key(
        &self,
        state: StateNumber,
        hash: KeyHash,
        key: &[u8],
    ) -> Result<Entries<'_>, SegmentError> {
        Entries::of_key(self, self.keyed_section(state), hash, key)
            .map_err(|damage| self.explain(damage))
    }

    /// All entries of a key group, in order. None when it is outside of the segment's.
    pub fn entries(&self, state: StateNumber, group: KeyGroup) -> Entries<'_> {
        let section = self.keyed_section(state);
        Entries::of_group(self, section.layout, section.group(group.get()))
    }

    /// Whether there is a timer of this key at this time. The value found is empty.
    pub fn timer(
        &self,
        state: StateNumber,
        time_ms: i64,
        hash: KeyHash,
        key: &[u8],
    ) -> Result<Lookup<'_>, SegmentError> {
        let section = self.section_of(state, Layout::Timers);
        Timers::look_up(self, section, time_ms, hash, key)
    }

    /// The timers of a key group from `from_ms` on, in order. Reads as far as it is asked to.
    pub fn timers(&self, state: StateNumber, group: KeyGroup, from_ms: i64) -> Timers<'_> {
        let section = self.section_of(state, Layout::Timers);
        Timers::new(self, section.group(group.get()), from_ms, &[])
    }

    /// Whether all that was read of the file so far really was in the file.
    ///
    /// Fails with [`SegmentError::Lost`] after somebody truncated the file while it was mapped.
    /// Costs one system call; to be asked before what was read is made durable elsewhere.
    pub fn check_intact(&self) -> Result<(), SegmentError> {
        match self.content.bytes() {
            Bytes::Mapped(mapping) => mapping.check_intact(),
            Bytes::Owned(_) => Ok(()),
        }
    }

    #[inline]
    pub(crate) fn section(&self, state: StateNumber) -> &Section {
        &self.sections[state.0 as usize]
    }

    #[inline]
    fn section_of(&self, state: StateNumber, layout: Layout) -> &Section {
        let section = self.section(state);
        assert!(section.layout == layout, "state {:?} is no {layout:?}", section.state.name);
        section
    }

    fn keyed_section(&self, state: StateNumber) -> &Section {
        let section = self.section(state);
        assert!(section.layout != Layout::Timers, "state {:?} has timers", section.state.name);
        section
    }

    /// The error that says where the damage is.
    #[cold]
    pub(crate) fn explain(&self, damage: Damage) -> SegmentError {
        explain(damage, &self.path, self.content.bytes(), |offset| self.part(offset))
    }

    fn part(&self, offset: usize) -> Part {
        let body = self.content.body();
        if offset >= body {
            return Part::ChecksumTable;
        }
        // What is in the chunk; the damage is somewhere in it.
        let (start, end) = (offset, body.min(offset / CHUNK * CHUNK + CHUNK));
        let touches = |group: &&Group| group.data < end && start < group.index_end.max(1);
        for section in &self.sections {
            let mut groups = section.groups.iter().filter(touches);
            if let Some(first) = groups.next() {
                let last = groups.next_back().unwrap_or(first);
                let state = section.state.name.clone();
                let (first, last) = (KeyGroup::new(first.number), KeyGroup::new(last.number));
                return Part::Entries { state, first, last };
            }
        }
        Part::Header
    }
}

fn decode(bytes: &[u8]) -> Result<(Origin, usize, Directory), Damage> {
    let too_short = Damage::Length { expected: 2 * FRAME as u64, found: bytes.len() as u64 };
    let (Some(header), Some((rest, footer))) =
        (bytes.first_chunk::<FRAME>(), bytes.split_last_chunk::<FRAME>())
    else {
        return Err(too_short);
    };
    let origin = frame::open_header(header)?;
    if rest.len() < FRAME {
        return Err(too_short);
    }
    let footer = Footer::open(footer, rest.len(), header)?;
    // All of them are below the length of a slice, now that there are no gaps.
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let (body, offset) = (size(footer.body), size(footer.directory));
    let bytes = &rest[offset..];
    let (expected, found) = (footer.directory_checksum, xxh3_64(bytes));
    if expected != found {
        return Err(Damage::Checksum { offset, expected, found });
    }
    let directory = directory::decode(bytes, offset, body, origin.key_groups)?;
    let pages = body.div_ceil(CHUNK).div_ceil(PAGE_ENTRIES);
    if directory.pages.len() != pages {
        let expected = "as many pages as the body has chunks for";
        let found = directory.pages.len() as u64;
        return Err(Damage::Malformed { offset, expected, found });
    }
    Ok((origin, body, directory))
}

/// What is at an offset outside of the body.
fn part_of_frame(offset: usize, length: usize) -> Part {
    if offset < FRAME {
        Part::Header
    } else if offset + FRAME >= length {
        Part::Footer
    } else {
        Part::Directory
    }
}

#[cold]
fn explain(
    damage: Damage,
    path: &Path,
    bytes: &Bytes,
    held: impl Fn(usize) -> Part,
) -> SegmentError {
    let path = path.to_owned();
    match damage {
        Damage::Magic { offset, found } => {
            SegmentError::Magic { path, offset: offset as u64, found, held: held(offset) }
        }
        Damage::Version { found } => SegmentError::Version { path, found, supported: VERSION },
        Damage::Length { expected, found } => SegmentError::Length { path, expected, found },
        Damage::Checksum { offset, expected, found } => {
            let held = held(offset);
            SegmentError::Checksum { path, offset: offset as u64, expected, found, held }
        }
        Damage::Malformed { offset, expected, found } => {
            let held = held(offset);
            SegmentError::Malformed { path, offset: offset as u64, expected, found, held }
        }
        Damage::Lost => {
            let expected = bytes.all().len() as u64;
            let lost = SegmentError::Lost { path, expected, found: expected };
            match bytes {
                Bytes::Mapped(mapping) => mapping.check_intact().err().unwrap_or(lost),
                Bytes::Owned(_) => lost,
            }
        }
    }
}
