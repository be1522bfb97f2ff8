//! What became of each checkpoint, and of each channel, by the actions so far.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_align::{AbortCause, Action, Alignment, AlignmentMode, Event, Progress};
use tidegate_types::{Barrier, CheckpointId, SnapshotKind};

pub(super) struct Outcomes {
    mode: AlignmentMode,
    channels: usize,
    /// What was heard, but for what a channel says after its end.
    heard: BTreeSet<(usize, CheckpointId)>,
    announced: BTreeSet<(usize, CheckpointId)>,
    ended: BTreeSet<usize>,
    blocked: BTreeSet<usize>,
    timers: BTreeSet<CheckpointId>,
    /// The checkpoint whose data is captured, and in which channels.
    capturing: Option<(CheckpointId, BTreeSet<usize>)>,
    /// Complete or aborted.
    over: BTreeMap<CheckpointId, &'static str>,
    said_the_end: bool,
}

impl Outcomes {
    pub(super) fn new(channels: usize, mode: AlignmentMode) -> Self {
        Self {
            mode,
            channels,
            heard: BTreeSet::new(),
            announced: BTreeSet::new(),
            ended: BTreeSet::new(),
            blocked: BTreeSet::new(),
            timers: BTreeSet::new(),
            capturing: None,
            over: BTreeMap::new(),
            said_the_end: false,
        }
    }

    /// Tells the alignment, and judges what it says.
    pub(super) fn hear(&mut self, event: Event, alignment: &mut Alignment) {
        let actions: Vec<Action> = alignment.on(event).collect();
        let is_repeated = self.is_repeated(event);
        assert!(!is_repeated || actions.is_empty(), "{event:?} is nothing new: {actions:?}");
        for action in actions {
            self.judge(event, action);
        }
        self.look_at(alignment);
    }

    /// Notes what was said; `true` if it cannot mean anything.
    fn is_repeated(&mut self, event: Event) -> bool {
        match event {
            Event::Barrier { channel, barrier: Barrier { checkpoint, .. } }
            | Event::Cancelled { channel, checkpoint } => {
                self.ended.contains(&channel) || !self.heard.insert((channel, checkpoint))
            }
            Event::Announced { channel, barrier } => {
                self.ended.contains(&channel)
                    || !self.mode.announces()
                    || !self.announced.insert((channel, barrier.checkpoint))
            }
            Event::Ended { channel } => !self.ended.insert(channel),
            Event::TimedOut { checkpoint } | Event::GivenUp { checkpoint } => {
                self.over.contains_key(&checkpoint)
            }
        }
    }

    fn judge(&mut self, event: Event, action: Action) {
        match action {
            Action::Block { channel } => {
                assert!(matches!(event, Event::Barrier { channel: of, .. } if of == channel));
                assert!(self.mode != AlignmentMode::AtLeastOnce, "blocks at least once");
                assert!(self.blocked.insert(channel), "blocked twice");
            }
            Action::UnblockAll => {
                assert!(!self.blocked.is_empty(), "nobody waits");
                self.blocked.clear();
            }
            Action::Snapshot(barrier) => {
                assert!(!self.overtakes(barrier) || self.mode != AlignmentMode::Unaligned);
                assert!(self.capturing.is_none() && self.blocked.is_empty());
                self.complete(barrier.checkpoint, "complete");
            }
            Action::Overtake(barrier) => {
                assert!(self.overtakes(barrier) && self.blocked.is_empty());
                assert!(!self.over.contains_key(&barrier.checkpoint), "a second outcome");
                let before = self.capturing.replace((barrier.checkpoint, BTreeSet::new()));
                assert_eq!(before, None, "one at a time");
            }
            Action::Capture { channel } => {
                let checkpoint = self.captured().0;
                assert!(!self.has_delivered(channel, checkpoint), "there is nothing in front");
                assert!(self.captured().1.insert(channel), "captured twice");
            }
            Action::Drain { channel } => {
                let (checkpoint, channels) = self.captured();
                let place = (channel, *checkpoint);
                assert!(channels.contains(&channel), "drained and not kept");
                assert!(self.announced.contains(&place), "a barrier that may not be there");
            }
            Action::StopCapture { channel } => {
                let checkpoint = self.captured().0;
                assert!(self.has_delivered(channel, checkpoint), "it may still hold data");
                assert!(self.captured().1.remove(&channel), "it was not captured");
            }
            Action::Captured { checkpoint } => {
                let captured = self.capturing.take().map(|(checkpoint, _)| checkpoint);
                assert_eq!(captured, Some(checkpoint));
                self.complete(checkpoint, "captured");
            }
            Action::StartTimer(barrier) => {
                assert!(self.overtakes(barrier) && self.mode != AlignmentMode::Unaligned);
                assert!(self.timers.insert(barrier.checkpoint), "a second timer");
            }
            Action::Abort { checkpoint, cause } => self.abort(event, checkpoint, cause),
            Action::End => {
                assert_eq!(self.ended.len(), self.channels);
                assert!(!std::mem::replace(&mut self.said_the_end, true), "ended twice");
            }
            other => panic!("{other:?}"),
        }
    }

    fn abort(&mut self, event: Event, checkpoint: CheckpointId, cause: AbortCause) {
        match event {
            Event::Cancelled { checkpoint: of, .. } if of == checkpoint => {
                assert_eq!(cause, AbortCause::Cancelled);
            }
            Event::GivenUp { checkpoint: of } => {
                assert_eq!((cause, of), (AbortCause::GivenUp, checkpoint));
            }
            _ => assert_eq!(cause, AbortCause::Superseded),
        }
        self.capturing.take_if(|(captured, _)| *captured == checkpoint);
        let earlier = self.over.insert(checkpoint, "aborted");
        assert_eq!(earlier, None, "a second outcome of {checkpoint}");
    }

    fn complete(&mut self, checkpoint: CheckpointId, how: &'static str) {
        let all = (0..self.channels).all(|channel| self.has_delivered(channel, checkpoint));
        assert!(all, "{checkpoint} is complete without all barriers");
        let earlier = self.over.insert(checkpoint, how);
        assert_eq!(earlier, None, "a second outcome of {checkpoint}");
    }

    /// After every event, what is over stays over, and nobody waits for nothing.
    fn look_at(&self, alignment: &Alignment) {
        let pending = alignment.aligning();
        let progress = pending.map(|checkpoint| alignment.progress(checkpoint));
        if progress != Some(Progress::Aligning) {
            assert!(self.blocked.is_empty(), "{:?} wait for nothing", self.blocked);
        }
        let captured = self.capturing.as_ref().map(|(checkpoint, _)| *checkpoint);
        assert_eq!(captured, pending.filter(|_| progress == Some(Progress::Capturing)));
        for checkpoint in self.over.keys().rev().take(100) {
            assert_eq!(alignment.progress(*checkpoint), Progress::Over, "{checkpoint}");
        }
    }

    fn captured(&mut self) -> &mut (CheckpointId, BTreeSet<usize>) {
        self.capturing.as_mut().expect("nothing is captured")
    }

    fn overtakes(&self, barrier: Barrier) -> bool {
        self.mode.announces() && barrier.kind == SnapshotKind::Checkpoint
    }

    fn has_delivered(&self, channel: usize, checkpoint: CheckpointId) -> bool {
        self.ended.contains(&channel) || self.heard.contains(&(channel, checkpoint))
    }
}
