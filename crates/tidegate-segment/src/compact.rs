//! Compaction: several segments become one.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use tidegate_types::{KeyGroupRange, RegisteredState, StateKind};

use crate::{
    Likeness, MergedEntries, MergedTimers, Segment, SegmentError, SegmentWriter, StateNumber,
    Tombstones,
};

/// How far a compaction is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Progress {
    /// Entries written so far.
    pub written: u64,
    /// Bytes of the new segment so far.
    pub length: u64,
}

/// How many entries are merged between two questions whether to go on.
const STRIDE: u64 = 1024;

/// Merges segments, the newest first, into `writer`, which is not finished: what they have of
/// `key_groups`, of every state that any of them has.
///
/// Streams: besides the writer's memory, it needs some 300 bytes for each input. `go_on` is asked
/// every 1,024 entries and for each key group of each state.
///
/// # Errors
///
/// [`SegmentError::Cancelled`] when `go_on` breaks; [`SegmentError::Unlike`] when the segments have
/// different numbers of key groups, or different schemas of a state; and all errors of reading and
/// writing. The writer is to be dropped then.
///
/// # Panics
///
/// When `key_groups` are not the writer's, or the writer has one of the states.
pub fn compact<W: Write>(
    newest_first: &[&Segment],
    key_groups: KeyGroupRange,
    tombstones: Tombstones,
    writer: &mut SegmentWriter<W>,
    go_on: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Progress, SegmentError> {
    let states = states(newest_first)?;
    let mut merge = Merge { tombstones, writer, go_on, written: 0 };
    for (state, holders) in states {
        merge.writer.begin_state(&state)?;
        for group in key_groups.iter() {
            merge.ask()?;
            if state.kind == StateKind::Timer {
                let streams = holders
                    .iter()
                    .map(|(segment, number)| segment.timers(*number, group, i64::MIN));
                for timer in MergedTimers::new(streams, tombstones) {
                    merge.writer.write_timer(&timer?)?;
                    merge.count()?;
                }
            } else {
                let streams =
                    holders.iter().map(|(segment, number)| segment.entries(*number, group));
                for entry in MergedEntries::new(streams, merge.tombstones) {
                    merge.writer.write(&entry?)?;
                    merge.count()?;
                }
            }
        }
    }
    // What was read is to be what was in the files, before anybody relies on the copy.
    newest_first.iter().try_for_each(|segment| segment.check_intact())?;
    Ok(merge.progress())
}

struct Merge<'a, W> {
    tombstones: Tombstones,
    writer: &'a mut SegmentWriter<W>,
    go_on: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    written: u64,
}

impl<W: Write> Merge<'_, W> {
    fn progress(&self) -> Progress {
        Progress { written: self.written, length: self.writer.length() }
    }

    fn count(&mut self) -> Result<(), SegmentError> {
        self.written += 1;
        if self.written.is_multiple_of(STRIDE) { self.ask() } else { Ok(()) }
    }

    fn ask(&mut self) -> Result<(), SegmentError> {
        let progress = self.progress();
        match (self.go_on)(progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(SegmentError::Cancelled),
        }
    }
}

/// Segments that have a state, newest first, and its number in each.
type Holders<'a> = Vec<(&'a Segment, StateNumber)>;

/// All states, with those who have them.
fn states<'a>(
    newest_first: &[&'a Segment],
) -> Result<Vec<(RegisteredState, Holders<'a>)>, SegmentError> {
    let mut states: Vec<(RegisteredState, Holders<'_>)> = Vec::new();
    let Some(newest) = newest_first.first() else { return Ok(states) };
    let max = newest.origin().max_parallelism;
    for segment in newest_first {
        let found = segment.origin().max_parallelism;
        if found != max {
            let (expected, found) =
                (Likeness::MaxParallelism(max), Likeness::MaxParallelism(found));
            return Err(unlike(segment.path(), expected, found));
        }
        for (number, state) in segment.states() {
            match states.iter_mut().find(|(known, _)| known.name == state.name) {
                None => states.push((state.clone(), vec![(*segment, number)])),
                Some((known, _)) if !is_like(known, state) => {
                    return Err(unlike(segment.path(), schema(known), schema(state)));
                }
                Some((_, holders)) => holders.push((*segment, number)),
            }
        }
    }
    Ok(states)
}

fn is_like(known: &RegisteredState, state: &RegisteredState) -> bool {
    let schema = |state: &RegisteredState| (state.kind, state.fingerprint, state.schema_version);
    schema(known) == schema(state)
}

fn schema(state: &RegisteredState) -> Likeness {
    Likeness::Schema {
        state: Arc::clone(&state.name),
        kind: state.kind,
        fingerprint: state.fingerprint,
        schema_version: state.schema_version,
    }
}

#[cold]
fn unlike(path: &Path, expected: Likeness, found: Likeness) -> SegmentError {
    SegmentError::Unlike { path: path.to_owned(), expected, found }
}
