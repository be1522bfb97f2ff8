//! The input gate: reads several channels and carries out what the alignment decides.
//!
//! Invariants:
//! - a blocked channel is not read at all, so that back pressure reaches its sender and no other;
//! - the gate sleeps only when no channel that may be read has a message, and then in the kernel;
//! - what the alignment said is handed out before another message is read;
//! - what was restored is handed out before anything else, and what was drained from a channel
//!   before anything newer of it.

mod carry_out;
mod event;

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Select, TryRecvError, never};
use tidegate_types::{Barrier, CheckpointId};

use crate::channel::Input;
use crate::{Alignment, AlignmentMode, Event, Inputs, Message};
use event::Ready;

pub use event::{AlignmentStats, GateEvent};

/// Messages taken from one channel before the next one has its turn.
const BURST: u32 = 8;
/// Calls of `next` between two looks at interrupts and the clock while there is always a message.
const CALLS_BETWEEN_LOOKS: u32 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChannelState {
    Open,
    Blocked,
    Closed,
}

/// Data that was taken from its channel and not handed out, or put back.
struct Held<T> {
    item: T,
    /// Whether handing it out makes room in the channel.
    credit: bool,
}

struct Channel<T> {
    input: Input<T>,
    state: ChannelState,
    held: VecDeque<Held<T>>,
    capturing: bool,
    captured: Vec<T>,
}

/// What a channel gave.
enum Taken<T> {
    Message(usize, Message<T>),
    Disconnected(usize),
}

/// Reads channels fairly and aligns their barriers. Data is copied only when it becomes part of a
/// checkpoint's channel state.
pub struct InputGate<T> {
    channels: Vec<Channel<T>>,
    announcements: Receiver<(usize, Barrier)>,
    mode: AlignmentMode,
    alignment: Alignment,
    ready: VecDeque<Ready<T>>,
    restored: VecDeque<(usize, T)>,
    /// Whether what was handed out last had been restored.
    handed_restored: bool,
    /// The channel whose turn it is, and how many more messages it may give.
    turn: usize,
    burst: u32,
    calls_to_look: u32,
    timer: Option<(CheckpointId, Instant)>,
    age: fn(&Barrier) -> Duration,
    weigh: fn(&T) -> u64,
    since: Option<Instant>,
    blocked_channels: usize,
    processed: u64,
}

impl<T: Clone> InputGate<T> {
    /// A gate over crossbeam channels of your own; their numbers are their places in `receivers`.
    /// Barriers keep their places in such channels: an unaligned one overtakes nothing on its way
    /// to the gate, and from there on all that the other channels still hold.
    #[must_use]
    pub fn new(receivers: Vec<Receiver<Message<T>>>, mode: AlignmentMode) -> Self {
        let channels = receivers.into_iter().map(Input::plain).collect();
        Self::over(Inputs { channels, announcements: never() }, mode)
    }

    /// A gate over channels in which barriers can be announced: [`channels`](crate::channels).
    #[must_use]
    pub fn over(inputs: Inputs<T>, mode: AlignmentMode) -> Self {
        let Inputs { channels, announcements } = inputs;
        let open = |input| Channel {
            input,
            state: ChannelState::Open,
            held: VecDeque::new(),
            capturing: false,
            captured: Vec::new(),
        };
        Self {
            alignment: Alignment::new(channels.len(), mode),
            ready: channels.is_empty().then_some(Ready::End).into_iter().collect(),
            channels: channels.into_iter().map(open).collect(),
            announcements,
            mode,
            restored: VecDeque::new(),
            handed_restored: false,
            turn: 0,
            burst: BURST,
            calls_to_look: 0,
            timer: None,
            age: |_| Duration::ZERO,
            weigh: |_| 1,
            since: None,
            blocked_channels: 0,
            processed: 0,
        }
    }

    /// How long ago a barrier's checkpoint was triggered, for the timeout; without this, the time
    /// counts from when the gate first hears of the barrier.
    #[must_use]
    pub fn aging(mut self, age: fn(&Barrier) -> Duration) -> Self {
        self.age = age;
        self
    }

    /// What an item weighs in the statistics, such as its bytes.
    #[must_use]
    pub fn weighing(mut self, weigh: fn(&T) -> u64) -> Self {
        self.weigh = weigh;
        self
    }

    /// Data of a checkpoint's channel state: handed out before all that the channels bring, in the
    /// order of these calls.
    pub fn restore(&mut self, channel: usize, item: T) {
        self.restored.push_back((channel, item));
    }

    /// Takes back the rest of the item that was handed out last, to hand it out again first.
    pub fn put_back(&mut self, channel: usize, item: T) {
        self.calls_to_look = 0;
        if self.since.is_some() {
            self.processed = self.processed.saturating_sub((self.weigh)(&item));
        }
        if self.handed_restored {
            self.restored.push_front((channel, item));
        } else {
            self.channels[channel].held.push_front(Held { item, credit: false });
        }
    }

    /// The coordinator has given a checkpoint up: nothing waits for it any more.
    pub fn give_up(&mut self, checkpoint: CheckpointId) {
        self.tell(Event::GivenUp { checkpoint });
    }

    /// Whether something waits that is not to wait for data: an interrupt, an announced barrier, a
    /// timeout. Costs next to nothing, to be asked between the records of an item.
    pub fn is_urgent<I>(&self, interrupt: &Receiver<I>) -> bool {
        !self.announcements.is_empty() || !interrupt.is_empty() || self.is_timed_out()
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
            if self.take_urgent() {
                continue;
            }
            if self.calls_to_look == 0 {
                self.calls_to_look = CALLS_BETWEEN_LOOKS;
                if let Some(event) = look(interrupt, deadline) {
                    return event;
                }
            }
            self.calls_to_look -= 1;
            if let Some((channel, item)) = self.restored.pop_front() {
                self.handed_restored = true;
                return self.hand_out(channel, item);
            }
            match self.poll() {
                Some(Taken::Message(channel, Message::Data(item))) => {
                    self.handed_restored = false;
                    return self.hand_out(channel, item);
                }
                Some(Taken::Message(channel, message)) => self.control(channel, &message),
                Some(Taken::Disconnected(channel)) => {
                    self.channels[channel].state = ChannelState::Closed;
                    return GateEvent::Disconnected { channel };
                }
                None => self.wait(interrupt, deadline),
            }
        }
    }

    /// Like [`next`](Self::next), without reading data: for a task that has no room for what it
    /// would make of it. `None` when one of the `room` channels has a message, which is left to
    /// the caller, or has lost its sender.
    pub fn next_urgent<I, R>(
        &mut self,
        interrupt: &Receiver<I>,
        room: &[Receiver<R>],
        deadline: Option<Instant>,
    ) -> Option<GateEvent<T, I>> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(ready.into());
            }
            if self.take_urgent() {
                continue;
            }
            if let Some(event) = look(interrupt, deadline) {
                return Some(event);
            }
            let mut select = Select::new();
            select.recv(interrupt);
            select.recv(&self.announcements);
            for credits in room {
                select.recv(credits);
            }
            let selected = match self.earliest(deadline) {
                Some(at) => select.ready_deadline(at),
                None => Ok(select.ready()),
            };
            if selected.is_ok_and(|index| index > 1) {
                return None;
            }
        }
    }

    /// Tells the alignment of an announced barrier or a timeout; whether there was one.
    fn take_urgent(&mut self) -> bool {
        match self.announcements.try_recv() {
            Ok((channel, barrier)) => {
                self.tell(Event::Announced { channel, barrier });
                return true;
            }
            Err(TryRecvError::Empty) => {}
            // All senders are gone. Each channel says so itself; the lane would wake us for ever.
            Err(TryRecvError::Disconnected) => self.announcements = never(),
        }
        let timed_out = self.timer.filter(|_| self.is_timed_out());
        if let Some((checkpoint, _)) = timed_out {
            self.timer = None;
            self.tell(Event::TimedOut { checkpoint });
        }
        timed_out.is_some()
    }

    fn is_timed_out(&self) -> bool {
        self.timer.is_some_and(|(_, at)| at <= Instant::now())
    }

    fn earliest(&self, deadline: Option<Instant>) -> Option<Instant> {
        deadline.into_iter().chain(self.timer.map(|(_, at)| at)).min()
    }

    fn hand_out<I>(&mut self, channel: usize, item: T) -> GateEvent<T, I> {
        if self.since.is_some() {
            self.processed += (self.weigh)(&item);
        }
        GateEvent::Data { channel, item }
    }

    /// A message that is there already, each channel in its turn.
    fn poll(&mut self) -> Option<Taken<T>> {
        // One time more than there are channels: the first may only be passed over because its
        // turn is up, and be the only one with messages.
        for _ in 0..=self.channels.len() {
            let channel = self.turn;
            if self.burst > 0
                && let Some(taken) = self.take(channel)
            {
                self.burst -= 1;
                return Some(taken);
            }
            self.turn = (channel + 1) % self.channels.len().max(1);
            self.burst = BURST;
        }
        None
    }

    /// What comes first in a channel that may be read.
    fn take(&mut self, number: usize) -> Option<Taken<T>> {
        let channel = self.channels.get_mut(number)?;
        if channel.state != ChannelState::Open {
            return None;
        }
        if let Some(Held { item, credit }) = channel.held.pop_front() {
            if credit {
                channel.input.credit();
            }
            return Some(Taken::Message(number, Message::Data(item)));
        }
        match channel.input.data.try_recv() {
            Ok(message) => Some(self.taken(number, message)),
            Err(TryRecvError::Disconnected) => Some(Taken::Disconnected(number)),
            Err(TryRecvError::Empty) => None,
        }
    }

    fn taken(&mut self, number: usize, message: Message<T>) -> Taken<T> {
        if let Message::Data(item) = &message {
            let channel = &mut self.channels[number];
            if channel.capturing {
                channel.captured.push(item.clone());
            }
            channel.input.credit();
        }
        Taken::Message(number, message)
    }

    /// Sleeps until there may be something.
    fn wait<I>(&mut self, interrupt: &Receiver<I>, deadline: Option<Instant>) {
        let at = self.earliest(deadline);
        let mut select = Select::new();
        select.recv(interrupt);
        select.recv(&self.announcements);
        for channel in self.channels.iter().filter(|c| c.state == ChannelState::Open) {
            select.recv(&channel.input.data);
        }
        let woken = match at {
            Some(at) => select.ready_deadline(at).ok(),
            None => Some(select.ready()),
        };
        if woken.is_none_or(|index| index == 0) {
            self.calls_to_look = 0;
        }
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

impl<T> fmt::Debug for InputGate<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let states: Vec<_> = self.channels.iter().map(|channel| channel.state).collect();
        f.debug_struct("InputGate").field("channels", &states).finish_non_exhaustive()
    }
}
