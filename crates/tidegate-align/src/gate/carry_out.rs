//! What the alignment decides, carried out: blocking, capturing, draining, the timer.
//!
//! Invariant: data is copied into the channel state when it is taken from its channel while the
//! channel is captured, or at the moment the capture begins if it had been taken before; so each
//! item is in a checkpoint's channel state at most once, whatever is handed out when.

use std::time::{Duration, Instant};

use crossbeam::channel::TryRecvError;

use super::event::{AlignmentStats, Ready};
use super::{ChannelState, Held, InputGate};
use crate::{Action, AlignmentMode, Event, Message};

impl<T: Clone> InputGate<T> {
    /// Tells the alignment, and does what it says.
    pub(super) fn tell(&mut self, event: Event) {
        let actions = self.alignment.on(event);
        if self.since.is_none() && self.alignment.aligning().is_some() {
            self.since = Some(Instant::now());
        }
        for action in actions {
            self.carry_out(action);
        }
    }

    /// A message other than data, in its place.
    pub(super) fn control(&mut self, channel: usize, message: &Message<T>) {
        let event = match message {
            Message::Data(_) => return,
            Message::Barrier(barrier) => Event::Barrier { channel, barrier: *barrier },
            Message::Cancelled(checkpoint) => Event::Cancelled { channel, checkpoint: *checkpoint },
            Message::End => {
                self.channels[channel].state = ChannelState::Closed;
                self.ready.push_back(Ready::ChannelEnded(channel));
                Event::Ended { channel }
            }
        };
        self.tell(event);
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Block { channel } => {
                self.channels[channel].state = ChannelState::Blocked;
                self.blocked_channels += 1;
            }
            Action::UnblockAll => {
                for channel in &mut self.channels {
                    if channel.state == ChannelState::Blocked {
                        channel.state = ChannelState::Open;
                    }
                }
            }
            Action::Snapshot(barrier) => {
                let stats = self.end_alignment();
                self.ready.push_back(Ready::Barrier(barrier, stats));
            }
            Action::Overtake(barrier) => {
                self.timer = None;
                self.ready.push_back(Ready::Overtaking(barrier, self.stats()));
            }
            Action::Capture { channel } => self.capture(channel),
            Action::Drain { channel } => self.drain(channel),
            Action::StopCapture { channel } => self.channels[channel].capturing = false,
            Action::Captured { checkpoint } => {
                let captured = self.take_captured();
                let stats = self.end_alignment();
                self.ready.push_back(Ready::Captured(checkpoint, captured, stats));
            }
            Action::StartTimer(barrier) => {
                let AlignmentMode::AlignedWithTimeout { timeout } = self.mode else { return };
                let left = timeout.saturating_sub((self.age)(&barrier));
                self.timer = Some((barrier.checkpoint, Instant::now() + left));
            }
            Action::Abort { checkpoint, cause } => {
                self.take_captured();
                self.end_alignment();
                self.ready.push_back(Ready::Aborted(checkpoint, cause));
            }
            Action::End => self.ready.push_back(Ready::End),
        }
    }

    /// What has been taken from the channel and not been processed is the beginning of its state.
    fn capture(&mut self, channel: usize) {
        let restored = self.restored.iter().filter(|(from, _)| *from == channel);
        let restored: Vec<T> = restored.map(|(_, item)| item.clone()).collect();
        let input = &mut self.channels[channel];
        input.captured = restored;
        input.captured.extend(input.held.iter().map(|held| held.item.clone()));
        input.capturing = true;
    }

    /// Takes out what lies before the announced barrier, which is in the channel already: this
    /// ends with the barrier, at the latest with what the channel holds now.
    fn drain(&mut self, channel: usize) {
        while self.channels[channel].capturing {
            match self.channels[channel].input.data.try_recv() {
                Ok(Message::Data(item)) => {
                    let input = &mut self.channels[channel];
                    input.captured.push(item.clone());
                    input.held.push_back(Held { item, credit: true });
                }
                Ok(message) => self.control(channel, &message),
                // Found again, and reported, when it is read in its turn.
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }

    fn take_captured(&mut self) -> Vec<(usize, Vec<T>)> {
        let mut all = Vec::new();
        for (number, channel) in self.channels.iter_mut().enumerate() {
            channel.capturing = false;
            let captured = std::mem::take(&mut channel.captured);
            if !captured.is_empty() {
                all.push((number, captured));
            }
        }
        all
    }

    /// What the alignment has taken so far.
    fn stats(&self) -> AlignmentStats {
        AlignmentStats {
            duration: self.since.map_or(Duration::ZERO, |since| since.elapsed()),
            blocked_channels: self.blocked_channels,
            processed: self.processed,
        }
    }

    fn end_alignment(&mut self) -> AlignmentStats {
        let stats = self.stats();
        // Another one may be under way: when barriers are only counted.
        self.since = self.alignment.aligning().map(|_| Instant::now());
        (self.blocked_channels, self.processed, self.timer) = (0, 0, None);
        stats
    }
}
