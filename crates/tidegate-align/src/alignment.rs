//! The state machine of alignment. Its transitions are the rows of `docs/alignment.md`.
//!
//! Invariants:
//! - pending checkpoints ascend, are newer than `settled`, and each lacks the barrier of at least
//!   one channel that has not ended; no channel has spoken of a newer one without its barrier;
//! - except at least once, at most one checkpoint is pending;
//! - a checkpoint is settled once, by a snapshot or by an abort, and never pending again;
//!   one whose data is captured has had its snapshot, and is complete or aborted after that.

mod pending;

use std::collections::VecDeque;

use tidegate_types::{Barrier, CheckpointId, SnapshotKind};

use crate::{AbortCause, Action, Actions, AlignmentMode, Event, Progress};
use pending::{Channel, Pending, Phase};

/// Checkpoints that are counted at the same time (at least once): Flink's bound.
const MOST_PENDING: usize = 50;
/// Given-up checkpoints that are remembered. Forgetting one costs a snapshot that nobody needs.
const MOST_GIVEN_UP: usize = 64;

/// Alignment of the barriers of a number of channels.
///
/// Pure: what it answers depends on nothing but the events so far. It does not need to be told of
/// data. What a channel says after its end, a barrier that comes twice, and barriers of settled
/// checkpoints are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Alignment {
    mode: AlignmentMode,
    channels: Vec<Channel>,
    /// How many channels have not ended.
    active: usize,
    pending: VecDeque<Pending>,
    /// Every checkpoint up to this one is over.
    settled: Option<CheckpointId>,
    /// Checkpoints above `settled` that are over, the oldest first.
    over: VecDeque<CheckpointId>,
}

impl Alignment {
    /// For channels numbered from 0, none of which has said anything.
    #[must_use]
    pub fn new(channels: usize, mode: AlignmentMode) -> Self {
        Self {
            mode,
            channels: vec![Channel::default(); channels],
            active: channels,
            pending: VecDeque::new(),
            settled: None,
            over: VecDeque::new(),
        }
    }

    /// Takes an event in and says what to do.
    ///
    /// # Panics
    ///
    /// When there is no such channel.
    pub fn on(&mut self, event: Event) -> Actions {
        let mut actions = Actions::default();
        match event {
            Event::Barrier { channel, barrier } => self.barrier(channel, barrier, &mut actions),
            Event::Announced { channel, barrier } => self.announced(channel, barrier, &mut actions),
            Event::Cancelled { channel, checkpoint } => {
                self.cancelled(channel, checkpoint, &mut actions);
            }
            Event::Ended { channel } => self.ended(channel, &mut actions),
            Event::TimedOut { checkpoint } => self.timed_out(checkpoint, &mut actions),
            Event::GivenUp { checkpoint } => self.given_up(checkpoint, &mut actions),
        }
        actions
    }

    /// The newest checkpoint whose barriers have begun to come and have not all come.
    pub fn aligning(&self) -> Option<CheckpointId> {
        self.pending.back().map(|pending| pending.barrier.checkpoint)
    }

    /// How far a checkpoint has come.
    pub fn progress(&self, checkpoint: CheckpointId) -> Progress {
        match self.position(checkpoint).map(|index| self.pending[index].phase) {
            Some(Phase::Counting) => Progress::Counting,
            Some(Phase::Aligning { .. }) => Progress::Aligning,
            Some(Phase::Capturing) => Progress::Capturing,
            None if self.is_lost(checkpoint) => Progress::Over,
            None => Progress::Unknown,
        }
    }

    fn barrier(&mut self, channel: usize, barrier: Barrier, actions: &mut Actions) {
        let id = barrier.checkpoint;
        if !self.speaks_of(channel, id, actions) || self.is_lost(id) {
            return;
        }
        if let Some(index) = self.position(id) {
            self.pending[index].missing -= 1;
            return self.arrived(index, channel, actions);
        }
        let index = self.begin(barrier, actions);
        let Pending { missing, phase, .. } = self.pending[index];
        if missing == 0 || phase != Phase::Capturing {
            self.arrived(index, channel, actions);
        }
        if missing > 0 {
            self.starts_timer(barrier, actions);
        }
    }

    fn announced(&mut self, channel: usize, barrier: Barrier, actions: &mut Actions) {
        let id = barrier.checkpoint;
        let known = &mut self.channels[channel];
        let stale = known.ended || known.newest >= Some(id) || known.announced >= Some(id);
        if stale || !self.mode.announces() || barrier.kind != SnapshotKind::Checkpoint {
            return;
        }
        known.announced = Some(id);
        if self.is_lost(id) {
            return;
        }
        self.abort_older(id, |_| true, actions);
        match self.position(id).map(|index| self.pending[index].phase) {
            Some(Phase::Capturing) => actions.push(Action::Drain { channel }),
            Some(_) => {}
            None => {
                self.begin(barrier, actions);
                match self.mode {
                    AlignmentMode::Unaligned => actions.push(Action::Drain { channel }),
                    _ => self.starts_timer(barrier, actions),
                }
            }
        }
    }

    fn cancelled(&mut self, channel: usize, checkpoint: CheckpointId, actions: &mut Actions) {
        if self.speaks_of(channel, checkpoint, actions) && !self.is_lost(checkpoint) {
            self.abort(checkpoint, AbortCause::Cancelled, actions);
        }
    }

    fn ended(&mut self, channel: usize, actions: &mut Actions) {
        if std::mem::replace(&mut self.channels[channel].ended, true) {
            return;
        }
        self.active -= 1;
        let newest = self.channels[channel].newest;
        let lacking: Vec<CheckpointId> =
            self.pending.iter().map(|p| p.barrier.checkpoint).collect();
        for id in lacking.into_iter().filter(|id| newest < Some(*id)) {
            let index =
                self.position(id).expect("an end settles only checkpoints that it completes");
            self.pending[index].missing -= 1;
            if self.pending[index].missing == 0 {
                self.complete(index, actions);
            } else if self.pending[index].phase == Phase::Capturing {
                actions.push(Action::StopCapture { channel });
            }
        }
        if self.active == 0 {
            actions.push(Action::End);
        }
    }

    fn timed_out(&mut self, checkpoint: CheckpointId, actions: &mut Actions) {
        let Some(index) = self.position(checkpoint) else { return };
        let Pending { barrier, phase, .. } = self.pending[index];
        let Phase::Aligning { blocking } = phase else { return };
        if !self.overtakes(barrier) {
            return;
        }
        if blocking {
            actions.push(Action::UnblockAll);
        }
        self.overtake(index, actions);
        let announced = |channel: &Channel| channel.announced == Some(checkpoint);
        for (channel, _) in self.lacking(checkpoint).filter(|(_, channel)| announced(channel)) {
            actions.push(Action::Drain { channel });
        }
    }

    fn given_up(&mut self, checkpoint: CheckpointId, actions: &mut Actions) {
        if self.position(checkpoint).is_some() {
            self.abort(checkpoint, AbortCause::GivenUp, actions);
        } else if !self.is_over(checkpoint) {
            // Older ones may still be wanted: only this one is over.
            self.remember(checkpoint);
        }
    }

    /// Notes what a channel says in its place; `false` when it has nothing more to say of it.
    fn speaks_of(&mut self, channel: usize, id: CheckpointId, actions: &mut Actions) -> bool {
        let Channel { newest, ended, .. } = self.channels[channel];
        if ended || newest >= Some(id) {
            return false;
        }
        self.channels[channel].newest = Some(id);
        // The barriers of a channel ascend: what it has left out up to here, it will not send. And
        // where its barrier was to block it, records beyond the barrier have been processed.
        let lost = |pending: &Pending| {
            pending.phase != Phase::Counting || newest < Some(pending.barrier.checkpoint)
        };
        self.abort_older(id, lost, actions);
        true
    }

    /// Nothing can come of it: it is over, or a newer one has come before all of its barriers.
    fn is_lost(&self, id: CheckpointId) -> bool {
        self.is_over(id)
            || (self.position(id).is_none()
                && (self.aligning() > Some(id)
                    || self.channels.iter().any(|channel| channel.newest > Some(id))))
    }

    fn is_over(&self, id: CheckpointId) -> bool {
        self.settled >= Some(id) || self.over.contains(&id)
    }

    /// Makes it pending, without the barrier of a channel that has not said so.
    fn begin(&mut self, barrier: Barrier, actions: &mut Actions) -> usize {
        let missing = self.lacking(barrier.checkpoint).count();
        let phase = match self.mode {
            AlignmentMode::AtLeastOnce => Phase::Counting,
            _ => Phase::Aligning { blocking: false },
        };
        if self.pending.len() == MOST_PENDING {
            let oldest = self.pending[0].barrier.checkpoint;
            self.abort(oldest, AbortCause::Superseded, actions);
        }
        self.pending.push_back(Pending { barrier, missing, phase });
        let index = self.pending.len() - 1;
        if self.mode == AlignmentMode::Unaligned && self.overtakes(barrier) {
            self.overtake(index, actions);
        }
        index
    }

    /// A barrier of it has come: the last one, or one of several.
    fn arrived(&mut self, index: usize, channel: usize, actions: &mut Actions) {
        if self.pending[index].missing == 0 {
            return self.complete(index, actions);
        }
        match &mut self.pending[index].phase {
            Phase::Counting => {}
            Phase::Aligning { blocking } => {
                *blocking = true;
                actions.push(Action::Block { channel });
            }
            Phase::Capturing => actions.push(Action::StopCapture { channel }),
        }
    }

    fn complete(&mut self, index: usize, actions: &mut Actions) {
        let Pending { barrier, phase, .. } =
            self.pending.remove(index).expect("the position of one that is pending");
        match phase {
            Phase::Capturing => {
                actions.push(Action::Captured { checkpoint: barrier.checkpoint });
            }
            Phase::Aligning { blocking: true } => {
                actions.push(Action::UnblockAll);
                actions.push(Action::Snapshot(barrier));
            }
            Phase::Aligning { blocking: false } | Phase::Counting => {
                actions.push(Action::Snapshot(barrier));
            }
        }
        self.close(barrier.checkpoint);
    }

    /// The barrier goes ahead; what the channels still hold of the checkpoint is captured.
    fn overtake(&mut self, index: usize, actions: &mut Actions) {
        let barrier = self.pending[index].barrier;
        self.pending[index].phase = Phase::Capturing;
        actions.push(Action::Overtake(barrier));
        for (channel, _) in self.lacking(barrier.checkpoint) {
            actions.push(Action::Capture { channel });
        }
    }

    fn overtakes(&self, barrier: Barrier) -> bool {
        self.mode.announces() && barrier.kind == SnapshotKind::Checkpoint
    }

    fn starts_timer(&self, barrier: Barrier, actions: &mut Actions) {
        let timed = matches!(self.mode, AlignmentMode::AlignedWithTimeout { .. });
        if timed && self.overtakes(barrier) {
            actions.push(Action::StartTimer(barrier));
        }
    }

    fn abort_older(
        &mut self,
        than: CheckpointId,
        lost: impl Fn(&Pending) -> bool,
        actions: &mut Actions,
    ) {
        let older = self.pending.iter().filter(|pending| pending.barrier.checkpoint < than);
        let lost: Vec<_> = older.filter(|p| lost(p)).map(|p| p.barrier.checkpoint).collect();
        for id in lost {
            self.abort(id, AbortCause::Superseded, actions);
        }
    }

    fn abort(&mut self, checkpoint: CheckpointId, cause: AbortCause, actions: &mut Actions) {
        let pending = self.position(checkpoint).and_then(|index| self.pending.remove(index));
        actions.push(Action::Abort { checkpoint, cause });
        if let Some(Phase::Aligning { blocking: true }) = pending.map(|pending| pending.phase) {
            actions.push(Action::UnblockAll);
        }
        self.close(checkpoint);
    }

    /// It is over; so are all older ones, unless one of them is pending.
    fn close(&mut self, id: CheckpointId) {
        if self.pending.front().is_some_and(|oldest| oldest.barrier.checkpoint < id) {
            return self.remember(id);
        }
        self.settled = self.settled.max(Some(id));
        self.over.retain(|over| Some(*over) > self.settled);
    }

    fn remember(&mut self, id: CheckpointId) {
        if self.over.len() == MOST_GIVEN_UP {
            self.over.pop_front();
        }
        let at = self.over.partition_point(|over| *over < id);
        self.over.insert(at, id);
    }

    /// The channels from which its barrier is still to come.
    fn lacking(&self, id: CheckpointId) -> impl Iterator<Item = (usize, &Channel)> {
        let lacks = move |channel: &Channel| !channel.ended && channel.newest < Some(id);
        self.channels.iter().enumerate().filter(move |(_, channel)| lacks(channel))
    }

    fn position(&self, id: CheckpointId) -> Option<usize> {
        self.pending.iter().position(|pending| pending.barrier.checkpoint == id)
    }
}
