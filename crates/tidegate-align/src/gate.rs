//! The input gate: reads several channels and carries out what the alignment decides.
//!
//! Invariants:
//! - a blocked channel is not read at all, so that back pressure reaches its sender and no other;
//! - the gate sleeps only when no channel that may be read has a message, and then in the kernel;
//! - what the alignment said is handed out before another message is read.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Select, TryRecvError};
use tidegate_types::{Barrier, CheckpointId};

use crate::{AbortCause, Action, Alignment, AlignmentMode, Event, Message};

/// Messages taken from one channel before the next one has its turn.
const BURST: u32 = 8;
/// Calls of `next` between two looks at interrupts and the clock while there is always a message.
const CALLS_BETWEEN_LOOKS: u32 = 16;

/// What comes out of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateEvent<T, I> {
    /// Data, in the order of its channel.
    Data {
        /// The channel, from 0.
        channel: usize,
        /// What was sent.
        item: T,
    },
    /// The barriers of all channels have come: snapshot now, then go on.
    Barrier(Barrier, AlignmentStats),
    /// There will be no snapshot for this checkpoint.
    Aborted {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Why.
        cause: AbortCause,
    },
    /// A channel ended.
    ChannelEnded {
        /// The channel, from 0.
        channel: usize,
    },
    /// Every channel has ended. Comes once; afterwards only interrupts and the deadline do.
    End,
    /// A message of the interrupt channel.
    Interrupt(I),
    /// The interrupt channel has no sender any more. Comes at every call that looks at it.
    InterruptClosed,
    /// The deadline has passed.
    DeadlineReached,
    /// A sender is gone without an end: it failed. Comes once for a channel.
    Disconnected {
        /// The channel, from 0.
        channel: usize,
    },
}

/// What an alignment took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlignmentStats {
    /// From the first barrier to the last: how long the first channel was blocked.
    pub duration: Duration,
    /// How many channels were blocked.
    pub blocked_channels: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChannelState {
    Open,
    Blocked,
    Closed,
}

/// What the alignment said and was not handed out yet.
enum Ready {
    Barrier(Barrier, AlignmentStats),
    Aborted(CheckpointId, AbortCause),
    ChannelEnded(usize),
    End,
}

/// What a channel gave.
enum Taken<T> {
    Message(usize, Message<T>),
    Disconnected(usize),
}

/// Reads channels fairly and aligns their barriers.
pub struct InputGate<T> {
    channels: Vec<(Receiver<Message<T>>, ChannelState)>,
    alignment: Alignment,
    ready: VecDeque<Ready>,
    /// The channel whose turn it is, and how many more messages it may give.
    turn: usize,
    burst: u32,
    calls_to_look: u32,
    blocked_since: Option<Instant>,
    blocked_channels: usize,
}

impl<T> InputGate<T> {
    /// A gate over these channels; their numbers are their places in `receivers`.
    #[must_use]
    pub fn new(receivers: Vec<Receiver<Message<T>>>, mode: AlignmentMode) -> Self {
        let ready = receivers.is_empty().then_some(Ready::End);
        Self {
            alignment: Alignment::new(receivers.len(), mode),
            channels: receivers.into_iter().map(|r| (r, ChannelState::Open)).collect(),
            ready: ready.into_iter().collect(),
            turn: 0,
            burst: BURST,
            calls_to_look: 0,
            blocked_since: None,
            blocked_channels: 0,
        }
    }

    /// The next thing that happens: waits for it, until `deadline` if there is one.
    ///
    /// Interrupts and the deadline are seen at once when there is nothing to read, and within 16
    /// calls when there always is.
    pub fn next<I>(
        &mut self,
        interrupt: &Receiver<I>,
        deadline: Option<Instant>,
    ) -> GateEvent<T, I> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return ready.into();
            }
            if self.calls_to_look == 0 {
                self.calls_to_look = CALLS_BETWEEN_LOOKS;
                if let Some(event) = look(interrupt, deadline) {
                    return event;
                }
            }
            self.calls_to_look -= 1;
            let taken = match self.poll() {
                Some(taken) => taken,
                None => match self.wait(interrupt, deadline) {
                    Ok(taken) => taken,
                    Err(event) => return event,
                },
            };
            match taken {
                Taken::Message(channel, Message::Data(item)) => {
                    return GateEvent::Data { channel, item };
                }
                Taken::Message(channel, message) => self.control(channel, &message),
                Taken::Disconnected(channel) => {
                    self.channels[channel].1 = ChannelState::Closed;
                    return GateEvent::Disconnected { channel };
                }
            }
        }
    }

    /// A message that is there already, each channel in its turn.
    fn poll(&mut self) -> Option<Taken<T>> {
        for _ in 0..self.channels.len() {
            let channel = self.turn;
            let (receiver, state) = &self.channels[channel];
            if *state == ChannelState::Open && self.burst > 0 {
                match receiver.try_recv() {
                    Ok(message) => {
                        self.burst -= 1;
                        return Some(Taken::Message(channel, message));
                    }
                    Err(TryRecvError::Disconnected) => return Some(Taken::Disconnected(channel)),
                    Err(TryRecvError::Empty) => {}
                }
            }
            self.turn = (channel + 1) % self.channels.len();
            self.burst = BURST;
        }
        self.poll_again()
    }

    /// The first look may have skipped the only channel with messages because its turn was over.
    fn poll_again(&self) -> Option<Taken<T>> {
        let (receiver, state) = self.channels.get(self.turn)?;
        if *state != ChannelState::Open {
            return None;
        }
        receiver.try_recv().ok().map(|message| Taken::Message(self.turn, message))
    }

    /// Sleeps until something is there.
    fn wait<I>(
        &self,
        interrupt: &Receiver<I>,
        deadline: Option<Instant>,
    ) -> Result<Taken<T>, GateEvent<T, I>> {
        let open: Vec<usize> = (0..self.channels.len())
            .filter(|channel| self.channels[*channel].1 == ChannelState::Open)
            .collect();
        let mut select = Select::new();
        select.recv(interrupt);
        for channel in &open {
            select.recv(&self.channels[*channel].0);
        }
        let selected = match deadline {
            Some(deadline) => {
                select.select_deadline(deadline).map_err(|_| GateEvent::DeadlineReached)?
            }
            None => select.select(),
        };
        match selected.index() {
            0 => Err(selected
                .recv(interrupt)
                .map_or(GateEvent::InterruptClosed, GateEvent::Interrupt)),
            index => {
                let channel = open[index - 1];
                let received = selected.recv(&self.channels[channel].0);
                Ok(received.map_or(Taken::Disconnected(channel), |m| Taken::Message(channel, m)))
            }
        }
    }

    fn control(&mut self, channel: usize, message: &Message<T>) {
        let event = match message {
            Message::Data(_) => return,
            Message::Barrier(barrier) => Event::Barrier { channel, barrier: *barrier },
            Message::Cancelled(checkpoint) => Event::Cancelled { channel, checkpoint: *checkpoint },
            Message::End => {
                self.channels[channel].1 = ChannelState::Closed;
                self.ready.push_back(Ready::ChannelEnded(channel));
                Event::Ended { channel }
            }
        };
        for action in self.alignment.on(event) {
            self.carry_out(action);
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Block { channel } => {
                self.channels[channel].1 = ChannelState::Blocked;
                self.blocked_since.get_or_insert_with(Instant::now);
                self.blocked_channels += 1;
            }
            Action::UnblockAll => {
                for (_, state) in &mut self.channels {
                    if *state == ChannelState::Blocked {
                        *state = ChannelState::Open;
                    }
                }
            }
            Action::Snapshot(barrier) => {
                let stats = self.take_stats();
                self.ready.push_back(Ready::Barrier(barrier, stats));
            }
            Action::Abort { checkpoint, cause } => {
                self.take_stats();
                self.ready.push_back(Ready::Aborted(checkpoint, cause));
            }
            Action::End => self.ready.push_back(Ready::End),
        }
    }

    fn take_stats(&mut self) -> AlignmentStats {
        let duration = self.blocked_since.take().map_or(Duration::ZERO, |since| since.elapsed());
        AlignmentStats { duration, blocked_channels: std::mem::take(&mut self.blocked_channels) }
    }
}

fn look<T, I>(interrupt: &Receiver<I>, deadline: Option<Instant>) -> Option<GateEvent<T, I>> {
    match interrupt.try_recv() {
        Ok(interrupt) => Some(GateEvent::Interrupt(interrupt)),
        Err(TryRecvError::Disconnected) => Some(GateEvent::InterruptClosed),
        Err(TryRecvError::Empty) => {
            let passed = deadline.is_some_and(|deadline| deadline <= Instant::now());
            passed.then_some(GateEvent::DeadlineReached)
        }
    }
}

impl<T, I> From<Ready> for GateEvent<T, I> {
    fn from(ready: Ready) -> Self {
        match ready {
            Ready::Barrier(barrier, stats) => Self::Barrier(barrier, stats),
            Ready::Aborted(checkpoint, cause) => Self::Aborted { checkpoint, cause },
            Ready::ChannelEnded(channel) => Self::ChannelEnded { channel },
            Ready::End => Self::End,
        }
    }
}

impl<T> fmt::Debug for InputGate<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let states: Vec<_> = self.channels.iter().map(|(_, state)| state).collect();
        f.debug_struct("InputGate").field("channels", &states).finish_non_exhaustive()
    }
}
