//! Random events on the alignment, and on a naive reading of its definition: all that was heard in
//! every channel, looked through anew at each event.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_align::{AbortCause, Action, Alignment, AlignmentMode, Event};
use tidegate_fuzz::Choices;
use tidegate_types::{Barrier, CheckpointId, SnapshotKind};

fuzz_target!(|bytes: &[u8]| {
    let mut choices = Choices::new(bytes);
    let channels = 1 + choices.below(4);
    let mut alignment = Alignment::new(channels, AlignmentMode::ExactlyOnce);
    let mut model = Model::new(channels);
    while !choices.are_over() {
        let channel = choices.below(channels);
        let checkpoint = CheckpointId::new(1 + choices.below(8) as u64).expect("not zero");
        let event = match choices.below(8) {
            0..5 => Event::Barrier { channel, barrier: barrier(checkpoint) },
            5 | 6 => Event::Cancelled { channel, checkpoint },
            _ => Event::Ended { channel },
        };
        let actions: Vec<Action> = alignment.on(event).collect();
        let expected = model.hear(event);
        assert_eq!(actions, expected, "{event:?} of {:?}", model.heard);
        assert_eq!(alignment.aligning(), model.aligning);
    }
});

fn barrier(checkpoint: CheckpointId) -> Barrier {
    Barrier { checkpoint, kind: SnapshotKind::Checkpoint, triggered_at_ms: 0 }
}

struct Model {
    channels: usize,
    /// What was heard for the first time, but for what a channel says after its end.
    heard: Vec<Event>,
    aligning: Option<CheckpointId>,
    settled: Vec<CheckpointId>,
}

impl Model {
    fn new(channels: usize) -> Self {
        Self { channels, heard: Vec::new(), aligning: None, settled: Vec::new() }
    }

    fn hear(&mut self, event: Event) -> Vec<Action> {
        let (Event::Barrier { channel, .. }
        | Event::Cancelled { channel, .. }
        | Event::Ended { channel }) = event;
        if self.has_ended(channel) || self.heard.contains(&event) {
            return Vec::new();
        }
        self.heard.push(event);
        self.expected(event)
    }

    fn has_ended(&self, channel: usize) -> bool {
        self.heard.contains(&Event::Ended { channel })
    }

    fn has_barrier(&self, channel: usize, checkpoint: CheckpointId) -> bool {
        self.heard.contains(&Event::Barrier { channel, barrier: barrier(checkpoint) })
    }

    /// The actions for the event that was heard last, by the rules of docs/alignment.md.
    fn expected(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Barrier { channel, barrier } => {
                if self.is_over(barrier.checkpoint) {
                    return actions;
                }
                self.supersede(barrier.checkpoint, &mut actions);
                self.aligning = Some(barrier.checkpoint);
                if !self.complete(&mut actions) {
                    actions.push(Action::Block { channel });
                }
            }
            Event::Cancelled { checkpoint, .. } => {
                if self.is_over(checkpoint) {
                    return actions;
                }
                self.supersede(checkpoint, &mut actions);
                let was_aligned = self.aligning.is_some();
                self.settle(checkpoint);
                actions.push(Action::Abort { checkpoint, cause: AbortCause::Cancelled });
                if was_aligned {
                    self.unblock(&mut actions);
                }
            }
            Event::Ended { .. } => {
                self.complete(&mut actions);
                if (0..self.channels).all(|channel| self.has_ended(channel)) {
                    actions.push(Action::End);
                }
            }
        }
        actions
    }

    /// Whether the checkpoint or a newer one is settled, or a newer one is being aligned.
    fn is_over(&self, checkpoint: CheckpointId) -> bool {
        self.settled.iter().any(|settled| *settled >= checkpoint)
            || self.aligning.is_some_and(|current| current > checkpoint)
    }

    fn supersede(&mut self, newer: CheckpointId, actions: &mut Vec<Action>) {
        if let Some(checkpoint) = self.aligning.filter(|current| *current < newer) {
            self.settle(checkpoint);
            actions.push(Action::Abort { checkpoint, cause: AbortCause::Superseded });
            self.unblock(actions);
        }
    }

    /// A snapshot, if no channel is awaited any more.
    fn complete(&mut self, actions: &mut Vec<Action>) -> bool {
        let Some(checkpoint) = self.aligning else { return false };
        let mut channels = 0..self.channels;
        if !channels.all(|c| self.has_ended(c) || self.has_barrier(c, checkpoint)) {
            return false;
        }
        self.settle(checkpoint);
        self.unblock(actions);
        actions.push(Action::Snapshot(barrier(checkpoint)));
        true
    }

    fn settle(&mut self, checkpoint: CheckpointId) {
        assert!(self.settled.iter().all(|earlier| *earlier < checkpoint), "settled twice");
        self.settled.push(checkpoint);
        self.aligning = None;
    }

    /// With one channel nobody ever waits, and nobody does any more when it was just said.
    fn unblock(&self, actions: &mut Vec<Action>) {
        if self.channels > 1 && actions.last() != Some(&Action::UnblockAll) {
            actions.push(Action::UnblockAll);
        }
    }
}
