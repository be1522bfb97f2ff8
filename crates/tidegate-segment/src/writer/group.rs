//! What is known of the key group that is being written, and the index made of it.

use std::io::Write;

use tidegate_types::{KeyHash, MaxParallelism};

use super::output::Output;
use crate::directory::GroupRecord;
use crate::index::{Coding, LINE, Row};
use crate::layout::{RUN, place};
use crate::{SegmentError, Statistics};

/// A key group in the making.
#[derive(Default)]
pub(super) struct Group {
    /// Where its data begin in the file.
    pub(super) start: u64,
    /// Its keys' hashes and the offsets of their records; of timers, times and offsets of some.
    pub(super) rows: Vec<(u64, u64)>,
    /// Records of long runs, and the lines of their indexes.
    pub(super) runs: Vec<u8>,
    pub(super) run_lines: Vec<u8>,
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
        self.run_lines.clear();
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
        output.align(LINE)?;
        let index = output.position();
        let coding = Coding::new(length);
        let homes = coding.homes(self.rows.len());
        let rows = self.rows.iter().map(|(hash, offset)| {
            let (_, fraction) = place(max, KeyHash::from_bits(*hash));
            Row { fraction, hash: *hash, offset: *offset }
        });
        let lines = coding.write(homes, rows, &mut |line| output.append(line))?;
        output.append(&self.runs)?;
        output.align(LINE)?;
        output.append(&self.run_lines)?;
        Ok(self.record(number, length, (homes, lines), output.position() - index))
    }

    /// Writes the index of a section of timers.
    pub(super) fn end_timers<W: Write>(
        &mut self,
        number: u16,
        output: &mut Output<W>,
    ) -> Result<GroupRecord, SegmentError> {
        let length = output.position() - self.start;
        output.align(LINE)?;
        let index = output.position();
        for (time, offset) in &self.rows {
            output.append(&time.to_le_bytes())?;
            output.append(&offset.to_le_bytes())?;
        }
        let count = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        Ok(self.record(number, length, (count, 0), output.position() - index))
    }

    fn record(
        &self,
        number: u16,
        length: u64,
        (homes, lines): (u32, u32),
        index_length: u64,
    ) -> GroupRecord {
        let runs = self.runs.len() / RUN;
        GroupRecord {
            number,
            data: self.start,
            homes,
            lines,
            runs: u32::try_from(runs).unwrap_or(u32::MAX),
            statistics: Statistics { data_bytes: length, index_bytes: index_length, ..self.counts },
            minimum: self.minimum,
            maximum: self.maximum,
        }
    }
}
