//! A naive world around the alignment: channels with scripts, read in any order, everything noted;
//! and the judge, who looks at the notes afterwards and computes from the scripts alone what each
//! checkpoint had to hold.

use tidegate_align::{Action, Alignment, AlignmentMode, Event};
use tidegate_types::{Barrier, CheckpointId, SnapshotKind};

use crate::barrier;

/// What a sender puts into its channel. Checkpoints are numbered from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Data,
    Barrier(u64),
    /// In its place, and announced.
    Announced(u64),
    Savepoint(u64),
    Cancelled(u64),
    End,
}

impl Word {
    fn barrier(self) -> Option<u64> {
        match self {
            Self::Barrier(n) | Self::Announced(n) | Self::Savepoint(n) => Some(n),
            Self::Data | Self::Cancelled(_) | Self::End => None,
        }
    }

    /// The checkpoint that it is about.
    fn about(self) -> Option<u64> {
        if let Self::Cancelled(n) = self { Some(n) } else { self.barrier() }
    }
}

pub(crate) type Script = Vec<Word>;

/// What can happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Take(usize),
    Hear(usize),
    TimeOut(u64),
    GiveUp(u64),
}

/// Where a run stands, of `N` channels and checkpoints 1 to `M`. Sets of script positions are bits.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct World<const N: usize, const M: usize> {
    /// Up to where each script was taken out of its channel, and up to where it was processed.
    taken: [usize; N],
    processed: [usize; N],
    /// Up to where announcements were heard.
    heard: [usize; N],
    blocked: [bool; N],
    capturing: [bool; N],
    captured: [u64; N],
    notes: [Note<N>; M],
    ended: bool,
    /// At least once.
    counted: bool,
    alignment: Alignment,
}

/// What became of a checkpoint.
#[expect(clippy::struct_excessive_bools, reason = "notes, which may come in any combination")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Note<const N: usize> {
    /// What had been processed at the snapshot.
    snapshot: Option<[usize; N]>,
    /// It is complete, and held what it had to hold.
    complete: bool,
    aborted: bool,
    timer: bool,
    given_up: bool,
    /// A newer checkpoint was heard of before this one was complete.
    overtaken: bool,
}

impl<const N: usize, const M: usize> World<N, M> {
    pub(crate) fn new(mode: AlignmentMode) -> Self {
        let note = Note {
            snapshot: None,
            complete: false,
            aborted: false,
            timer: false,
            given_up: false,
            overtaken: false,
        };
        Self {
            taken: [0; N],
            processed: [0; N],
            heard: [0; N],
            blocked: [false; N],
            capturing: [false; N],
            captured: [0; N],
            notes: [note; M],
            ended: false,
            counted: mode == AlignmentMode::AtLeastOnce,
            alignment: Alignment::new(N, mode),
        }
    }

    /// What can happen; `give_up` may be given up by the coordinator at any time.
    pub(crate) fn steps(&self, scripts: &[Script; N], give_up: Option<u64>) -> Vec<Step> {
        let mut steps = Vec::new();
        for channel in 0..N {
            let left = self.held(scripts, channel).is_some()
                || self.taken[channel] < scripts[channel].len();
            if left && !self.blocked[channel] {
                steps.push(Step::Take(channel));
            }
            if self.announcement(scripts, channel).is_some() {
                steps.push(Step::Hear(channel));
            }
        }
        let timers = (1..=M as u64).filter(|n| self.notes[index(*n)].timer);
        steps.extend(timers.map(Step::TimeOut));
        let give_up = give_up.filter(|n| !self.notes[index(*n)].given_up);
        steps.extend(give_up.map(Step::GiveUp));
        steps
    }

    pub(crate) fn step(&mut self, scripts: &[Script; N], step: Step) {
        match step {
            Step::Take(channel) => match self.held(scripts, channel) {
                Some(position) => self.processed[channel] = position + 1,
                None => {
                    let data = self.take(scripts, channel);
                    // Nothing is held, so all that was taken has been processed.
                    self.processed[channel] = self.taken[channel];
                    assert!(!data || !self.blocked[channel], "read while blocked");
                }
            },
            Step::Hear(channel) => {
                let (position, n) = self.announcement(scripts, channel).expect("it was offered");
                self.heard[channel] = position + 1;
                self.overtake_older(n);
                self.tell(scripts, Event::Announced { channel, barrier: barrier(n) });
            }
            Step::TimeOut(n) => {
                self.notes[index(n)].timer = false;
                self.tell(scripts, Event::TimedOut { checkpoint: id(n) });
            }
            Step::GiveUp(n) => {
                self.notes[index(n)].given_up = true;
                self.tell(scripts, Event::GivenUp { checkpoint: id(n) });
            }
        }
    }

    /// Data that was taken out and not processed.
    fn held(&self, scripts: &[Script; N], channel: usize) -> Option<usize> {
        (self.processed[channel]..self.taken[channel])
            .find(|position| scripts[channel][*position] == Word::Data)
    }

    fn announcement(&self, scripts: &[Script; N], channel: usize) -> Option<(usize, u64)> {
        let mut words = scripts[channel].iter().enumerate().skip(self.heard[channel]);
        words.find_map(|(at, word)| match word {
            Word::Announced(n) => Some((at, *n)),
            _ => None,
        })
    }

    /// Takes the next word out of a channel; `true` for data.
    fn take(&mut self, scripts: &[Script; N], channel: usize) -> bool {
        let position = self.taken[channel];
        self.taken[channel] += 1;
        let word = scripts[channel][position];
        if let Some(n) = word.about() {
            self.overtake_older(n);
        }
        let event = match word {
            Word::Data => {
                self.captured[channel] |= u64::from(self.capturing[channel]) << position;
                return true;
            }
            Word::Barrier(n) | Word::Announced(n) => {
                Event::Barrier { channel, barrier: barrier(n) }
            }
            Word::Savepoint(n) => {
                let kind = SnapshotKind::Savepoint;
                Event::Barrier { channel, barrier: Barrier { kind, ..barrier(n) } }
            }
            Word::Cancelled(n) => Event::Cancelled { channel, checkpoint: id(n) },
            Word::End => Event::Ended { channel },
        };
        self.tell(scripts, event);
        false
    }

    fn overtake_older(&mut self, n: u64) {
        for note in self.notes.iter_mut().take(index(n)) {
            note.overtaken |= !note.complete;
        }
    }

    fn tell(&mut self, scripts: &[Script; N], event: Event) {
        for action in self.alignment.on(event) {
            match action {
                Action::Block { channel } => self.blocked[channel] = true,
                Action::UnblockAll => self.blocked = [false; N],
                Action::Snapshot(barrier) => {
                    self.snapshot(barrier);
                    self.complete(scripts, barrier.checkpoint);
                }
                Action::Overtake(barrier) => self.snapshot(barrier),
                Action::Capture { channel } => {
                    self.capturing[channel] = true;
                    let held = self.processed[channel]..self.taken[channel];
                    self.captured[channel] = bits(&scripts[channel], held);
                }
                Action::Drain { channel } => {
                    while self.capturing[channel] {
                        self.take(scripts, channel);
                    }
                }
                Action::StopCapture { channel } => self.capturing[channel] = false,
                Action::Captured { checkpoint } => self.complete(scripts, checkpoint),
                Action::StartTimer(barrier) => self.note(barrier.checkpoint).timer = true,
                Action::Abort { checkpoint, .. } => {
                    let note = self.note(checkpoint);
                    assert!(!note.aborted && !note.complete, "settled twice");
                    note.aborted = true;
                    (self.capturing, self.captured) = ([false; N], [0; N]);
                }
                Action::End => self.ended = true,
                other => panic!("{other:?}"),
            }
        }
    }

    fn snapshot(&mut self, barrier: Barrier) {
        let processed = self.processed;
        let note = self.note(barrier.checkpoint);
        let settled = note.complete || note.aborted || note.given_up;
        assert!(note.snapshot.is_none() && !settled, "a second outcome");
        note.snapshot = Some(processed);
    }

    fn complete(&mut self, scripts: &[Script; N], checkpoint: CheckpointId) {
        let captured = std::mem::replace(&mut self.captured, [0; N]);
        self.capturing = [false; N];
        let counted = self.counted;
        let note = self.note(checkpoint);
        assert!(!note.complete && !note.aborted, "settled twice");
        // Forgotten once it is judged, so that runs which differ in nothing else become one.
        let snapshot = note.snapshot.take().expect("a snapshot comes before the completion");
        note.complete = true;
        let n = checkpoint.get();
        assert!(can_complete(scripts, n), "checkpoint {n} is complete without all barriers");
        for (channel, script) in scripts.iter().enumerate() {
            let belongs = bits(script, 0..position(script, n).unwrap_or(script.len()));
            let (state, flight) = (bits(script, 0..snapshot[channel]), captured[channel]);
            if counted {
                assert_eq!((state & belongs, flight), (belongs, 0), "lost, {n} in {channel}");
            } else {
                assert_eq!(state & flight, 0, "twice in checkpoint {n}, channel {channel}");
                assert_eq!(state | flight, belongs, "the cut {n} in channel {channel}");
            }
        }
    }

    fn note(&mut self, checkpoint: CheckpointId) -> &mut Note<N> {
        &mut self.notes[index(checkpoint.get())]
    }

    /// The judge: nothing can happen any more.
    pub(crate) fn judge(&self, scripts: &[Script; N], mode: AlignmentMode) {
        if !scripts.iter().all(|script| script.last() == Some(&Word::End)) {
            // Whoever waits for a channel that falls silent may wait for ever.
            return assert!(!self.ended, "ended while a channel has not");
        }
        for (channel, script) in scripts.iter().enumerate() {
            assert_eq!(self.taken[channel], script.len(), "stuck");
            assert_eq!(self.held(scripts, channel), None, "data is left");
        }
        assert!(self.ended && self.blocked == [false; N], "all channels have ended");
        for n in 1..=M as u64 {
            let note = &self.notes[index(n)];
            let possible = can_complete(scripts, n);
            let excused = note.given_up || (mode.announces() && note.overtaken);
            assert!(!possible || excused || note.complete, "checkpoint {n} is missing");
        }
    }
}

/// By definition: somebody has the barrier, and whoever lacks it says nothing of it or of a newer
/// checkpoint before it ends, and it does end.
fn can_complete<const N: usize>(scripts: &[Script; N], n: u64) -> bool {
    let has = |script: &Script| position(script, n).is_some();
    let silent = |script: &Script| {
        script.iter().all(|word| word.about().is_none_or(|about| about < n))
            && script.last() == Some(&Word::End)
    };
    scripts.iter().any(has) && scripts.iter().all(|script| has(script) || silent(script))
}

fn position(script: &Script, n: u64) -> Option<usize> {
    script.iter().position(|word| word.barrier() == Some(n))
}

fn bits(script: &Script, range: std::ops::Range<usize>) -> u64 {
    range.filter(|at| script[*at] == Word::Data).fold(0, |bits, at| bits | 1 << at)
}

fn index(n: u64) -> usize {
    usize::try_from(n).unwrap() - 1
}

fn id(n: u64) -> CheckpointId {
    CheckpointId::new(n).unwrap()
}
