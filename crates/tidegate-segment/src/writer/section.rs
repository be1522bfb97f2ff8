//! The state that is being written: where its key groups and runs begin and end.

use std::io::Write;
use std::mem;
use std::sync::Arc;

use tidegate_types::{KeyGroup, KeyHash, RegisteredState};

use super::group::Group;
use super::output::Output;
use super::previous::Previous;
use super::run::Run;
use crate::directory::GroupRecord;
use crate::layout::{Layout, RUN};
use crate::record::{self, Head, MAX_NUMBER};
use crate::{Origin, SegmentError, Statistics};

/// The state that is being written.
pub(super) struct Section {
    pub(super) state: RegisteredState,
    pub(super) layout: Layout,
    pub(super) records: Vec<GroupRecord>,
    pub(super) statistics: Statistics,
    /// The number of the key group that is being written.
    pub(super) current: Option<u16>,
    pub(super) group: Group,
    pub(super) run: Run,
    pub(super) previous: Previous,
}

impl Section {
    pub(super) fn new(state: RegisteredState, layout: Layout) -> Self {
        Self {
            state,
            layout,
            records: Vec::new(),
            statistics: Statistics::default(),
            current: None,
            group: Group::default(),
            run: Run::default(),
            previous: Previous::default(),
        }
    }

    /// Goes to a key group, which is the current one or behind it.
    pub(super) fn enter<W: Write>(
        &mut self,
        number: u16,
        origin: &Origin,
        output: &mut Output<W>,
    ) -> Result<(), SegmentError> {
        if self.current == Some(number) {
            return Ok(());
        }
        assert!(
            self.current.is_none_or(|current| current < number),
            "key group {number} of state {:?} behind a later one",
            self.state.name
        );
        let range = origin.key_groups;
        assert!(range.contains(KeyGroup::new(number)), "key group {number} outside of {range}");
        self.end_group(origin, output)?;
        self.current = Some(number);
        self.group.begin(output.position());
        Ok(())
    }

    pub(super) fn end_group<W: Write>(
        &mut self,
        origin: &Origin,
        output: &mut Output<W>,
    ) -> Result<(), SegmentError> {
        let Some(number) = self.current.take() else { return Ok(()) };
        let length = output.position() - self.group.start;
        checked(length, "a key group", MAX_NUMBER, &self.state)?;
        let record = match self.layout {
            Layout::Value | Layout::Map => {
                self.group.end_keyed(number, origin.max_parallelism, output)?
            }
            Layout::Timers => self.group.end_timers(number, output)?,
        };
        self.statistics += record.statistics;
        self.records.push(record);
        Ok(())
    }

    pub(super) fn count_tombstone(&mut self, key: &[u8]) {
        self.group.counts.tombstones += 1;
        // Its head has two bytes for any key below 128.
        self.group.counts.tombstone_bytes += 2 + key.len() as u64;
    }

    #[inline]
    pub(super) fn key_record<W: Write>(
        &mut self,
        kind: u8,
        (hash, key): (KeyHash, &[u8]),
        payload: &[u8],
        output: &mut Output<W>,
    ) -> Result<(), SegmentError> {
        checked(key.len() as u64, "a key", u32::MAX.into(), &self.state)?;
        let length = checked(payload.len() as u64, "a value", u32::MAX.into(), &self.state)?;
        self.start_record(hash, kind, key.len(), length, output)?;
        output.append(key)?;
        output.append(payload)
    }

    /// Notes where a record begins and writes its head.
    #[inline]
    fn start_record<W: Write>(
        &mut self,
        hash: KeyHash,
        kind: u8,
        key: usize,
        number: u64,
        output: &mut Output<W>,
    ) -> Result<(), SegmentError> {
        let offset = output.position() - self.group.start;
        checked(offset, "a key group", MAX_NUMBER, &self.state)?;
        self.group.rows.push((hash.get(), offset));
        Head::emit(kind, key, number, |head| output.append(head))
    }

    pub(super) fn map_entry<W: Write>(
        &mut self,
        kind: u8,
        map_key: &[u8],
        value: &[u8],
        output: &mut Output<W>,
    ) -> Result<(), SegmentError> {
        checked(map_key.len() as u64, "a map's key", u32::MAX.into(), &self.state)?;
        checked(value.len() as u64, "a value", u32::MAX.into(), &self.state)?;
        let (head, head_length) = Head::write(kind, map_key.len(), value.len() as u64);
        let length = head_length + map_key.len() + value.len();
        if self.run.outgrows(length) {
            self.begin_long_run(output)?;
        }
        self.run.note(map_key, length);
        for bytes in [&head[..head_length], map_key, value] {
            if self.run.long.is_some() {
                output.append(bytes)?;
            } else {
                self.run.pending.extend_from_slice(bytes);
            }
        }
        Ok(())
    }

    fn begin_long_run<W: Write>(&mut self, output: &mut Output<W>) -> Result<(), SegmentError> {
        let key = mem::take(&mut self.previous.key);
        checked(key.len() as u64, "a key", u32::MAX.into(), &self.state)?;
        let ordinal = (self.group.runs.len() / RUN) as u64;
        let hash = self.previous.hash.expect("a run has a key");
        self.start_record(hash, record::LONG_RUN, key.len(), ordinal, output)?;
        output.append(&key)?;
        self.run.long = Some(output.position() - self.group.start);
        output.append(&self.run.pending)?;
        self.run.pending.clear();
        self.previous.key = key;
        Ok(())
    }

    /// Ends the map of the previous key, if there is one.
    pub(super) fn end_run<W: Write>(&mut self, output: &mut Output<W>) -> Result<(), SegmentError> {
        let Some(hash) = self.previous.hash.filter(|_| self.layout == Layout::Map) else {
            return Ok(());
        };
        if let Some(payload) = self.run.long {
            self.run.index(payload, &mut self.group.runs, &mut self.group.run_lines);
        } else {
            let deleted = self.run.is_after_delete;
            let kind = if deleted { record::RUN_AFTER_DELETE } else { record::RUN };
            let key = mem::take(&mut self.previous.key);
            checked(key.len() as u64, "a key", u32::MAX.into(), &self.state)?;
            self.start_record(hash, kind, key.len(), self.run.length, output)?;
            output.append(&key)?;
            output.append(&self.run.pending)?;
            self.previous.key = key;
        }
        self.run.clear();
        Ok(())
    }
}

/// The number, unless it is above what the format holds.
#[inline]
pub(super) fn checked(
    found: u64,
    what: &'static str,
    limit: u64,
    state: &RegisteredState,
) -> Result<u64, SegmentError> {
    if found > limit {
        let state = Arc::clone(&state.name);
        return Err(SegmentError::TooLong { what, state, limit, found });
    }
    Ok(found)
}
