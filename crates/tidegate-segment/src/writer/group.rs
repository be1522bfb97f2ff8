//! What is known of the key group that is being written, and the index made of it.

use std::io::Write;

use tidegate_types::{KeyHash, MaxParallelism};

use super::output::Output;
use crate::directory::GroupRecord;
use crate::layout::{OFFSET_BITS, filter, place, scale};
use crate::{SegmentError, Statistics};

/// A key group in the making.
#[derive(Default)]
pub(super) struct Group {
    /// Where its data begin in the file.
    pub(super) start: u64,
    /// Its keys' hashes and the offsets of their records; of timers, times and offsets of some.
    pub(super) rows: Vec<(u64, u64)>,
    /// Records of long runs, and their slots.
    pub(super) runs: Vec<u8>,
    pub(super) slots: Vec<u8>,
    pub(super) counts: Statistics,
    /// The first hash or time, and the last.
    pub(super) minimum: u64,
    pub(super) maximum: u64,
}

impl Group {
    /// Forgets the previous group and keeps its memory.
    pub(super) fn begin(&mut self, start: u64) {
        self.start = start;
        self.rows.clear();
        self.runs.clear();
        self.slots.clear();
        self.counts = Statistics::default();
    }

    /// Notes a record of a key or a timer.
    #[inline]
    pub(super) fn note(&mut self, place: u64) {
        if self.counts.keys == 0 {
            self.minimum = place;
        }
        self.maximum = place;
        self.counts.keys += 1;
    }

    /// Writes the index of a keyed section.
    pub(super) fn end_keyed<W: Write>(
        &mut self,
        number: u16,
        max: MaxParallelism,
        output: &mut Output<W>,
    ) -> Result<GroupRecord, SegmentError> {
        let length = output.position() - self.start;
        output.align()?;
        let index = output.position();
        let buckets = u32::try_from(self.rows.len().div_ceil(2)).unwrap_or(u32::MAX).max(1);
        let mut rows = self.rows.iter().peekable();
        for bucket in 0..buckets {
            let mut word = rows.peek().map_or(length, |(_, offset)| *offset);
            while let Some((hash, _)) = rows.next_if(|(hash, _)| {
                scale(place(max, KeyHash::from_bits(*hash)).1, buckets) == bucket
            }) {
                word |= filter(KeyHash::from_bits(*hash));
            }
            output.append(&word.to_le_bytes())?;
        }
        debug_assert!(length < 1 << OFFSET_BITS && rows.next().is_none());
        output.append(&length.to_le_bytes())?;
        output.append(&self.runs)?;
        output.append(&self.slots)?;
        Ok(self.record(number, length, buckets, output.position() - index))
    }

    /// Writes the index of a section of timers.
    pub(super) fn end_timers<W: Write>(
        &mut self,
        number: u16,
        output: &mut Output<W>,
    ) -> Result<GroupRecord, SegmentError> {
        let length = output.position() - self.start;
        output.align()?;
        let index = output.position();
        for (time, offset) in &self.rows {
            output.append(&time.to_le_bytes())?;
            output.append(&offset.to_le_bytes())?;
        }
        let count = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        Ok(self.record(number, length, count, output.position() - index))
    }

    fn record(&self, number: u16, length: u64, slots: u32, index_length: u64) -> GroupRecord {
        let runs = self.runs.len() / crate::layout::RUN;
        GroupRecord {
            number,
            data: self.start,
            buckets: slots,
            runs: u32::try_from(runs).unwrap_or(u32::MAX),
            statistics: Statistics { data_bytes: length, index_bytes: index_length, ..self.counts },
            minimum: self.minimum,
            maximum: self.maximum,
        }
    }
}
