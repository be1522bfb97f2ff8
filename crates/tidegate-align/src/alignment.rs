//! The state machine of alignment. Its transitions are the rows of `docs/alignment.md`.
//!
//! Invariants:
//! - at most one checkpoint is being aligned, and it is newer than `settled`;
//! - a checkpoint is settled once: by a snapshot or by an abort, and never aligned again;
//! - while one is aligned, at least one channel that has not ended lacks its barrier.

use tidegate_types::{Barrier, CheckpointId};

use crate::{AbortCause, Action, Actions, AlignmentMode, Event};

/// Alignment of the barriers of a number of channels.
///
/// Pure: what it answers depends on nothing but the events so far. It does not need to be told of
/// data. What a channel says after its end, a barrier that comes twice, and barriers of settled
/// checkpoints are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Alignment {
    channels: Vec<Channel>,
    /// How many channels have not ended.
    active: usize,
    aligning: Option<Aligning>,
    /// The newest checkpoint that had its snapshot or its abort.
    settled: Option<CheckpointId>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Channel {
    /// The barrier of the checkpoint that is being aligned has come.
    arrived: bool,
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Aligning {
    barrier: Barrier,
    /// How many channels have neither the barrier nor ended.
    missing: usize,
}

impl Alignment {
    /// For channels numbered from 0, none of which has said anything.
    #[must_use]
    pub fn new(channels: usize, mode: AlignmentMode) -> Self {
        let AlignmentMode::ExactlyOnce = mode;
        Self {
            channels: vec![Channel::default(); channels],
            active: channels,
            aligning: None,
            settled: None,
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
            Event::Cancelled { channel, checkpoint } => {
                self.cancelled(channel, checkpoint, &mut actions);
            }
            Event::Ended { channel } => self.ended(channel, &mut actions),
        }
        actions
    }

    /// The checkpoint that is being aligned.
    pub fn aligning(&self) -> Option<CheckpointId> {
        self.aligning.map(|aligning| aligning.barrier.checkpoint)
    }

    fn barrier(&mut self, channel: usize, barrier: Barrier, actions: &mut Actions) {
        let Channel { arrived, ended } = self.channels[channel];
        if ended || self.settled >= Some(barrier.checkpoint) {
            return;
        }
        match self.aligning() {
            Some(current) if barrier.checkpoint < current => return,
            Some(current) if barrier.checkpoint == current && arrived => return,
            Some(current) if barrier.checkpoint > current => {
                self.abort(current, AbortCause::Superseded, actions);
            }
            _ => {}
        }
        let missing = self.active;
        let aligning = self.aligning.get_or_insert(Aligning { barrier, missing });
        aligning.missing -= 1;
        self.channels[channel].arrived = true;
        if !self.completes(actions) {
            actions.push(Action::Block { channel });
        }
    }

    fn cancelled(&mut self, channel: usize, checkpoint: CheckpointId, actions: &mut Actions) {
        let old = self.aligning().is_some_and(|current| checkpoint < current);
        if old || self.channels[channel].ended || self.settled >= Some(checkpoint) {
            return;
        }
        match self.aligning() {
            Some(current) if current < checkpoint => {
                self.abort(current, AbortCause::Superseded, actions);
                self.settle(checkpoint, AbortCause::Cancelled, actions);
            }
            Some(_) => self.abort(checkpoint, AbortCause::Cancelled, actions),
            None => self.settle(checkpoint, AbortCause::Cancelled, actions),
        }
    }

    fn ended(&mut self, channel: usize, actions: &mut Actions) {
        let Channel { arrived, ended } = self.channels[channel];
        if ended {
            return;
        }
        self.channels[channel].ended = true;
        self.active -= 1;
        if let Some(aligning) = &mut self.aligning
            && !arrived
        {
            aligning.missing -= 1;
            self.completes(actions);
        }
        if self.active == 0 {
            actions.push(Action::End);
        }
    }

    /// Snapshots if no barrier is missing any more.
    fn completes(&mut self, actions: &mut Actions) -> bool {
        let Some(aligning) = self.aligning.filter(|aligning| aligning.missing == 0) else {
            return false;
        };
        self.release(actions);
        self.settled = Some(aligning.barrier.checkpoint);
        actions.push(Action::Snapshot(aligning.barrier));
        true
    }

    fn abort(&mut self, checkpoint: CheckpointId, cause: AbortCause, actions: &mut Actions) {
        self.settle(checkpoint, cause, actions);
        self.release(actions);
    }

    fn settle(&mut self, checkpoint: CheckpointId, cause: AbortCause, actions: &mut Actions) {
        self.settled = Some(checkpoint);
        actions.push(Action::Abort { checkpoint, cause });
    }

    /// Ends the alignment: whoever had the barrier may go on.
    fn release(&mut self, actions: &mut Actions) {
        self.aligning = None;
        // A channel that completes an alignment was never told to block: with one channel there
        // is nobody to unblock. Nor is there after an abort that has just said so.
        if self.channels.len() > 1 && actions.said_last() != Some(Action::UnblockAll) {
            actions.push(Action::UnblockAll);
        }
        self.channels.iter_mut().for_each(|channel| channel.arrived = false);
    }
}
