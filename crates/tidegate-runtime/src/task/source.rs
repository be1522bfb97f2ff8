//! The source task: reads its splits one after the other and injects barriers between records.
//!
//! Invariant: a split's position is taken between two calls of `poll`, when every record handed
//! out so far has been pushed through the chain; so barrier and position name the same instant.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Select, TryRecvError};
use parking_lot::Mutex;
use tidegate_connect::{BoxedReader, ConnectError, Poll, RateLimiter, SplitSource};
use tidegate_state::list_handle;
use tidegate_types::{Barrier, Distribution, OperatorUid};

use super::{TaskBody, TaskContext, age, wall_clock_ms};
use crate::error::TaskError;
use crate::lists::restored_items;
use crate::push::Push;
use crate::record::{LAST_WATERMARK, NO_TIMESTAMP, Record};
use crate::report::{Command, Report};
use crate::snapshot::{OperatorSnapshot, SnapshotBuilder, SnapshotOrigin};

/// Records read between two looks at the commands, at most.
const POLL_RECORDS: usize = 512;
/// Records read at once while what they lead to has no room.
const POLL_RECORDS_SHORT: usize = 16;
/// Fewer records are read at once when it takes longer than this: a barrier waits meanwhile.
const POLL_TIME: Duration = Duration::from_millis(10);
/// How long a rate-limited or waiting source sleeps at most before it looks at the clock again.
const NAP_MAX: Duration = Duration::from_millis(20);

const SPLITS: &str = "splits";

pub(crate) struct SourceTask<S: SplitSource> {
    uid: OperatorUid,
    source: Arc<S>,
    /// Splits not yet opened, the next one first.
    waiting: VecDeque<S::Split>,
    reader: Option<BoxedReader<S>>,
    limiter: Option<RateLimiter>,
    started: Instant,
    /// How many records are read at once.
    budget: usize,
    /// All splits have been read to their end.
    exhausted: bool,
    /// The job is to stop with a savepoint, whose barrier was the last thing that went down.
    stopped: bool,
    down: Box<dyn Push<S::Record>>,
}

/// A source with its splits, which are found once: what one subtask leaves out because it is
/// another one's must be the same for both, even while files come and go.
pub(crate) struct SourceInput<S: SplitSource> {
    source: Arc<S>,
    splits: Mutex<Option<Vec<S::Split>>>,
}

impl<S: SplitSource> SourceInput<S> {
    pub(crate) fn new(source: S) -> Self {
        Self { source: Arc::new(source), splits: Mutex::new(None) }
    }

    /// All splits, from their beginnings.
    pub(crate) fn splits(&self) -> Result<Vec<S::Split>, ConnectError> {
        let mut found = self.splits.lock();
        match &*found {
            Some(splits) => Ok(splits.clone()),
            None => Ok(found.insert(self.source.splits()?).clone()),
        }
    }
}

enum Step {
    More,
    Wait(Duration),
    Exhausted,
}

impl<S: SplitSource> SourceTask<S> {
    /// Takes up the restored splits, or this subtask's share of all splits on a fresh start.
    pub(crate) fn open(
        uid: OperatorUid,
        input: &SourceInput<S>,
        rate: Option<NonZeroU64>,
        down: Box<dyn Push<S::Record>>,
        context: &TaskContext,
    ) -> Result<Self, TaskError> {
        let subtask = context.subtask;
        let restored = match &context.shared.restore {
            Some(restore) => {
                let state = restore.plan.for_subtask(&uid, subtask);
                restored_items(&state, &restore.resolver, SPLITS)?
            }
            None => None,
        };
        let waiting = match restored {
            Some(items) => {
                items.iter().map(|item| S::decode_split(item)).collect::<Result<_, _>>()?
            }
            // The job starts anew, or it is this source that is new in it.
            None => {
                let all = input.splits()?.into_iter().skip(usize::from(subtask.index()));
                all.step_by(usize::from(subtask.parallelism().get())).collect()
            }
        };
        // At least one record a second: a share of nothing would never end.
        let share = |n: NonZeroU64| n.get() / u64::from(subtask.parallelism().get());
        let limiter =
            rate.map(|n| RateLimiter::new(NonZeroU64::new(share(n)).unwrap_or(NonZeroU64::MIN)));
        let source = Arc::clone(&input.source);
        Ok(Self {
            uid,
            source,
            waiting,
            reader: None,
            limiter,
            started: Instant::now(),
            budget: POLL_RECORDS,
            exhausted: false,
            stopped: false,
            down,
        })
    }

    fn step(&mut self, context: &TaskContext) -> Result<Step, TaskError> {
        let Some(reader) = &mut self.reader else {
            return match self.waiting.front() {
                Some(split) => {
                    self.reader = Some(self.source.open(split)?);
                    self.waiting.pop_front();
                    Ok(Step::More)
                }
                None => Ok(Step::Exhausted),
            };
        };
        let mut budget = self.budget;
        let now = self.started.elapsed();
        if let Some(limiter) = &mut self.limiter {
            budget = limiter.take(self.budget, now);
            if budget == 0 {
                return Ok(Step::Wait(limiter.wait(now).min(NAP_MAX)));
            }
        }
        let (mut pushed, mut result) = (0, Ok(()));
        let polled = reader.poll(budget, &mut |value| {
            pushed += 1;
            // After a failure the attempt is over, and what else was read goes nowhere.
            if result.is_ok() {
                result = self.down.push(Record { value, timestamp: NO_TIMESTAMP });
            }
        })?;
        result?;
        if let Some(limiter) = &mut self.limiter {
            limiter.give_back(budget - pushed);
        }
        let slow = self.started.elapsed().saturating_sub(now) > POLL_TIME;
        self.budget = match (slow, context.room.is_short()) {
            (true, _) => (self.budget / 2).max(1),
            (false, true) => (self.budget / 2).max(POLL_RECORDS_SHORT.min(self.budget)),
            (false, false) => (self.budget * 2).min(POLL_RECORDS),
        };
        Ok(match polled {
            Poll::More => Step::More,
            Poll::Pending(wait) => Step::Wait(wait.unwrap_or(NAP_MAX).min(NAP_MAX)),
            Poll::Finished => {
                self.reader = None;
                Step::More
            }
        })
    }

    fn inject(&mut self, barrier: Barrier, context: &TaskContext) -> Result<(), TaskError> {
        let started = Instant::now();
        let start_delay = age(&barrier);
        let finished = self.exhausted;
        let mut snapshot = SnapshotBuilder::new(barrier, context.shared.alignment);
        let open = self.reader.iter().map(|reader| reader.position());
        let splits = open.chain(self.waiting.iter().cloned());
        let items: Vec<Vec<u8>> = splits.map(|split| S::encode_split(&split)).collect();
        snapshot.add(
            self.uid.clone(),
            Box::new(move |_| {
                let list = list_handle(SPLITS, Distribution::Split, &items);
                let mut snapshot = OperatorSnapshot::default();
                snapshot.state.lists.push(list);
                snapshot.state.finished = finished;
                Ok(snapshot)
            }),
        );
        self.down.barrier(&mut snapshot)?;
        context.snapshots.submit(snapshot.finish(SnapshotOrigin {
            task: context.task,
            subtask: context.subtask,
            start_delay,
            alignment: Duration::ZERO,
            processed: 0,
            synchronous: started.elapsed(),
        }));
        Ok(())
    }

    /// Carries out a command; `true` when it was the last one.
    fn obey(&mut self, command: Command, context: &TaskContext) -> Result<bool, TaskError> {
        match command {
            Command::Inject(barrier) => self.inject(barrier, context)?,
            Command::Stop { barrier, drain } => {
                self.stopped = true;
                if drain && !self.exhausted {
                    self.down.watermark(LAST_WATERMARK)?;
                }
                self.inject(barrier, context)?;
            }
            Command::Resume => self.stopped = false,
            Command::Completed(checkpoint) => self.down.completed(checkpoint)?,
            // The source itself has nothing under way: it has taken its part, or never will.
            Command::Aborted(checkpoint) => self.down.aborted(checkpoint)?,
            Command::Finish => {
                self.down.end();
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl<S: SplitSource> SourceTask<S> {
    /// What becomes ready when there is room again; nothing when there is.
    fn waiting_for_room(
        &mut self,
        context: &TaskContext,
    ) -> Result<Vec<Receiver<usize>>, TaskError> {
        let mut waiting = Vec::new();
        if context.room.is_short() {
            self.down.room(&mut waiting)?;
            context.room.set(!waiting.is_empty());
        }
        Ok(waiting)
    }

    /// Nothing to read: only commands and timers are left.
    fn is_idle(&self) -> bool {
        self.exhausted || self.stopped
    }

    /// Reads on, unless all is read; says how long there is nothing to do.
    fn read(&mut self, context: &TaskContext) -> Result<Duration, TaskError> {
        if self.is_idle() {
            return Ok(NAP_MAX);
        }
        match self.step(context)? {
            Step::More => Ok(Duration::ZERO),
            Step::Wait(wait) => Ok(wait),
            Step::Exhausted => {
                self.exhausted = true;
                self.down.watermark(LAST_WATERMARK)?;
                let (task, subtask) = (context.task, context.subtask);
                let _ = context.reports.send(Report::SourceExhausted { task, subtask });
                Ok(Duration::ZERO)
            }
        }
    }
}

impl<S: SplitSource> TaskBody for SourceTask<S> {
    fn run(mut self: Box<Self>, context: &TaskContext) -> Result<(), TaskError> {
        loop {
            let waiting = self.waiting_for_room(context)?;
            let wait = if waiting.is_empty() { self.read(context)? } else { NAP_MAX };
            let idle = self.is_idle();
            self.down.flush(Instant::now(), idle || !wait.is_zero())?;
            if self.down.next_timer_ms().is_some() {
                self.down.advance_clock(wall_clock_ms())?;
            }
            context.cancel.check()?;
            let asleep = idle && waiting.is_empty() && !context.room.is_short();
            let command = if asleep && self.down.next_timer_ms().is_none() {
                context.commands.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else if waiting.is_empty() {
                context.commands.recv_timeout(wait)
            } else {
                command_or_room(&context.commands, &waiting, wait)
            };
            match command {
                Ok(command) => {
                    if self.obey(command, context)? {
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                // The driver drops its end when the attempt is over.
                Err(RecvTimeoutError::Disconnected) => return Err(TaskError::Cancelled),
            }
        }
    }
}

/// Waits for a command, or for room: a barrier does not wait for room.
fn command_or_room(
    commands: &Receiver<Command>,
    waiting: &[Receiver<usize>],
    wait: Duration,
) -> Result<Command, RecvTimeoutError> {
    let mut select = Select::new();
    select.recv(commands);
    for credits in waiting {
        select.recv(credits);
    }
    let _ = select.ready_timeout(wait);
    commands.try_recv().map_err(|error| match error {
        TryRecvError::Empty => RecvTimeoutError::Timeout,
        TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
    })
}
