//! Walking over timers in the order of time.
//!
//! Invariant: what comes out ascends by [`TimerEntry::cmp_place`] and is of the key group.

use tidegate_types::KeyHash;

use crate::content::Damage;
use crate::cursor::Cursor;
use crate::directory::{Group, Section};
use crate::layout::{SPARSE, place};
use crate::record::DELETE;
use crate::{Lookup, Segment, SegmentError, TimerEntry};

/// Timers of one key group, in order, read as far as they are asked for. Ends after the first
/// error.
#[derive(Clone, Debug)]
pub struct Timers<'a> {
    segment: &'a Segment,
    /// `None` when there is nothing (more).
    group: Option<&'a Group>,
    cursor: Cursor<'a>,
    previous: Option<(i64, &'a [u8])>,
    /// Why there is no cursor.
    failed: Option<Damage>,
}

impl<'a> Timers<'a> {
    /// From the first timer that is not before this time and key.
    pub(crate) fn new(
        segment: &'a Segment,
        group: Option<&'a Group>,
        time_ms: i64,
        key: &[u8],
    ) -> Self {
        let cursor = Cursor::new(&segment.content, 0, 0);
        let mut timers = Self { segment, group, cursor, previous: None, failed: None };
        if let Some(group) = group
            && let Err(damage) = timers.seek(group, time_ms, key)
        {
            timers.failed = Some(damage);
        }
        timers
    }

    pub(crate) fn look_up(
        segment: &'a Segment,
        section: &'a Section,
        time_ms: i64,
        hash: KeyHash,
        key: &[u8],
    ) -> Result<Lookup<'a>, SegmentError> {
        let (number, _) = place(segment.origin().max_parallelism, hash);
        let first = Self::new(segment, section.group(number), time_ms, key).next().transpose()?;
        Ok(match first {
            Some(timer) if (timer.time_ms, timer.key) == (time_ms, key) => {
                if timer.is_tombstone {
                    Lookup::Tombstone
                } else {
                    Lookup::Found(&[])
                }
            }
            _ => Lookup::Absent,
        })
    }

    fn seek(&mut self, group: &'a Group, time_ms: i64, key: &[u8]) -> Result<(), Damage> {
        // The last of the indexed timers that is before the place: all behind it are too late.
        let (mut low, mut high) = (0, group.homes as usize);
        while low < high {
            let middle = low + (high - low) / 2;
            let (start, time) = self.indexed(group, middle)?;
            let is_before = if time == time_ms {
                let timer = read(&mut Cursor::new(&self.segment.content, start, group.data_end))?;
                timer.key < key
            } else {
                time < time_ms
            };
            if is_before {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let start = match low.checked_sub(1) {
            None => group.data,
            Some(index) => self.indexed(group, index)?.0,
        };
        self.cursor = Cursor::new(&self.segment.content, start, group.data_end);
        loop {
            let here = self.cursor;
            match self.advance()? {
                Some(timer) if (timer.time_ms, timer.key) < (time_ms, key) => {}
                _ => {
                    self.cursor = here;
                    self.previous = None;
                    return Ok(());
                }
            }
        }
    }

    /// Where an indexed timer lies, and its time.
    fn indexed(&self, group: &Group, index: usize) -> Result<(usize, i64), Damage> {
        let at = group.index + index * SPARSE;
        let [time, offset] = self.segment.content.words(at)?;
        let start = usize::try_from(offset).ok().and_then(|offset| group.data.checked_add(offset));
        match start {
            Some(start) if start < group.data_end => Ok((start, time.cast_signed())),
            _ => {
                let expected = "a timer within the data";
                Err(Damage::Malformed { offset: at, expected, found: offset })
            }
        }
    }

    fn advance(&mut self) -> Result<Option<TimerEntry<'a>>, Damage> {
        let Some(group) = self.group else { return Ok(None) };
        if let Some(damage) = self.failed.take() {
            return Err(damage);
        }
        if self.cursor.is_at_end() {
            return Ok(None);
        }
        let timer = read(&mut self.cursor)?;
        let here = (timer.time_ms, timer.key);
        let ascends = self.previous.is_none_or(|previous| previous < here);
        if !ascends || timer.key_group(self.segment.origin().max_parallelism).get() != group.number
        {
            let expected = "ascending timers of the key group";
            return Err(self.cursor.malformed(expected, timer.time_ms.cast_unsigned()));
        }
        self.previous = Some(here);
        Ok(Some(timer))
    }
}

fn read<'a>(cursor: &mut Cursor<'a>) -> Result<TimerEntry<'a>, Damage> {
    let (kind, length) = cursor.timer_head()?;
    let time = cursor.take(8)?.try_into().expect("as long as was taken");
    let key = cursor.take_number(length)?;
    let (time_ms, hash) = (i64::from_le_bytes(time), KeyHash::of_bytes(key));
    Ok(TimerEntry { time_ms, hash, key, is_tombstone: kind == DELETE })
}

impl<'a> Iterator for Timers<'a> {
    type Item = Result<TimerEntry<'a>, SegmentError>;

    fn next(&mut self) -> Option<Self::Item> {
        let timer = self.advance();
        match self.segment.content.check_lost().and(timer) {
            Ok(Some(timer)) => Some(Ok(timer)),
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
