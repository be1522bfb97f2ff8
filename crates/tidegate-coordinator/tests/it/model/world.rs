//! The model of the driver and the storage.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tidegate_coordinator::{
    Action, CompletedCheckpoint, Coordinator, CoordinatorConfig, Discarded, Event, Fate, JobStatus,
    PendingPublication, RestoredCheckpoint, fate,
};
use tidegate_meta::CheckpointMetadata;
use tidegate_store::Determinacy;
use tidegate_types::{AttemptId, CheckpointId, FileReference, SnapshotKind, Subtask, TaskId};

use super::CLEANUPS;
use super::disk::{files, name, restored_checkpoint};
use super::rng::Rng;
use super::tasks::{Command, ModelSubtask};
use crate::common::{id, job, ms, state_with, topology};

pub(crate) struct World {
    coordinator: Coordinator,
    config: CoordinatorConfig,
    now: Duration,
    attempt: AttemptId,
    subtasks: Vec<ModelSubtask>,
    names: u64,
    reports: Vec<Event>,
    publications: Vec<PendingPublication>,
    // Reported as failed, and will appear in the storage all the same.
    stragglers: Vec<Arc<CheckpointMetadata>>,
    disk: BTreeSet<String>,
    metadata: BTreeMap<CheckpointId, Arc<CheckpointMetadata>>,
    restored: Option<Arc<CheckpointMetadata>>,
    // Its metadata may appear when its files are gone.
    in_doubt: BTreeSet<CheckpointId>,
    open: BTreeSet<CheckpointId>,
    complete: Vec<CheckpointId>,
    failing: bool,
    finishing: bool,
    ended: bool,
}

impl World {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let count = |rng: &mut Rng| NonZeroU32::new(1 + u32::try_from(rng.below(3)).unwrap());
        let config = CoordinatorConfig {
            interval: Some(ms(100)),
            min_pause: ms([0, 0, 30][rng.below(3)]),
            timeout: ms(400),
            max_concurrent: count(rng).unwrap(),
            tolerable_failures: u32::try_from(rng.below(6)).unwrap(),
            retained: count(rng).unwrap(),
            cleanup: CLEANUPS[rng.below(3)],
        };
        let topology = topology(1 + u16::try_from(rng.below(2)).unwrap(), 2);
        let mut subtasks = Vec::new();
        for task in &topology.tasks {
            for subtask in Subtask::all(task.parallelism) {
                subtasks.push(ModelSubtask::new(task.task, subtask, task.operators[0].clone()));
            }
        }
        let restored = rng.chance(50).then(|| restored_checkpoint(&subtasks));
        let first = restored.as_ref().map_or(CheckpointId::FIRST, |old| old.checkpoint.next());
        let claim = restored.clone().map(RestoredCheckpoint::not_claimed);
        let coordinator = Coordinator::new(config.clone(), topology, job(), first, claim);
        let mut world = Self {
            coordinator,
            config,
            now: Duration::ZERO,
            attempt: AttemptId::new(1),
            subtasks,
            names: 1000,
            reports: Vec::new(),
            publications: Vec::new(),
            stragglers: Vec::new(),
            disk: BTreeSet::new(),
            metadata: BTreeMap::new(),
            restored,
            in_doubt: BTreeSet::new(),
            open: BTreeSet::new(),
            complete: Vec::new(),
            failing: false,
            finishing: false,
            ended: false,
        };
        if let Some(restored) = world.restored.clone() {
            world.disk.extend(files(&restored));
            world.metadata.insert(restored.checkpoint, restored);
        }
        world.restart_tasks();
        world
    }

    pub(crate) fn completed(&self) -> usize {
        self.complete.len()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.finishing
    }

    /// One thing happens, good or bad.
    pub(crate) fn step(&mut self, rng: &mut Rng) {
        match rng.below(1000) {
            0..350 => self.command(rng),
            350..600 => self.report(rng),
            600..700 => self.publication(rng),
            700..900 => {
                self.now += ms(rng.below(20) as u64);
                self.tell(Event::Tick);
            }
            900..930 => {
                if let Some(at) = self.coordinator.next_wakeup() {
                    self.now = self.now.max(at);
                    self.tell(Event::Tick);
                }
            }
            930..940 => self.tell(Event::TriggerRequested(SnapshotKind::Checkpoint)),
            940..945 => self.tell(Event::TriggerRequested(SnapshotKind::Savepoint)),
            945..950 => self.straggle(),
            950..960 => self.stranger(rng),
            960..964 => self.restart(),
            964..965 => self.tell(Event::SourcesExhausted),
            _ if self.failing || self.finishing => self.restart(),
            _ => {}
        }
    }

    /// The world is kind for a while: something must complete.
    pub(crate) fn without_faults(&mut self) {
        let before = self.complete.len();
        let mut rng = Rng::new(1);
        if self.failing {
            self.restart();
        }
        for _ in 0..200 {
            if self.complete.len() > before + 2 || self.finishing {
                return;
            }
            for index in 0..self.subtasks.len() {
                while let Some(command) = self.subtasks[index].commands.pop_front() {
                    self.obey(index, command, false, &mut rng);
                }
            }
            for event in std::mem::take(&mut self.reports) {
                self.tell(event);
            }
            for publication in std::mem::take(&mut self.publications) {
                self.land(publication.metadata());
                self.tell(Event::Published(publication.checkpoint()));
            }
            if self.failing {
                self.restart();
            }
            if let Some(at) = self.coordinator.next_wakeup() {
                self.now = self.now.max(at);
                self.tell(Event::Tick);
            }
        }
        panic!("no progress: {} checkpoints, {:?}", before, self.coordinator);
    }

    /// The job ends; nothing may be left but what the rules keep.
    pub(crate) fn end(&mut self, status: JobStatus, rng: &mut Rng) {
        self.subtasks.iter_mut().for_each(|subtask| subtask.commands.clear());
        if rng.chance(50) {
            self.settle(rng);
        }
        while !self.stragglers.is_empty() {
            self.straggle();
        }
        let kept = match fate(self.config.cleanup, status) {
            Fate::Delete => 0,
            Fate::KeepNewest => 1,
            Fate::Keep => usize::MAX,
        };
        let own = self.coordinator.completed().rev();
        let own = own.filter(|checkpoint| checkpoint.kind() != SnapshotKind::Savepoint);
        let mut expected: BTreeSet<_> =
            own.take(kept).map(CompletedCheckpoint::checkpoint).collect();
        let savepoints = self.metadata.values().filter(|m| m.kind == SnapshotKind::Savepoint);
        let savepoints = savepoints.filter(|m| self.complete.contains(&m.checkpoint));
        expected.extend(savepoints.map(|m| m.checkpoint));
        expected.extend(self.restored.iter().map(|m| m.checkpoint));

        self.tell(Event::JobEnded(status));
        self.ended = true;
        self.settle(rng);
        assert_eq!(self.coordinator.next_wakeup(), None);
        assert_eq!(self.open, BTreeSet::new(), "checkpoints without an end");
        let left: BTreeSet<_> = self.metadata.keys().copied().collect();
        assert_eq!(left, expected, "complete checkpoints left behind after {status:?}");
        let needed: BTreeSet<_> = self.metadata.values().flat_map(|m| files(m)).collect();
        assert_eq!(self.disk, needed, "files left behind after {status:?}");
    }

    /// All that is under way arrives.
    fn settle(&mut self, rng: &mut Rng) {
        while !self.reports.is_empty() {
            let event = self.reports.swap_remove(rng.below(self.reports.len()));
            self.tell(event);
        }
        while !self.publications.is_empty() {
            self.publication(rng);
        }
        while !self.stragglers.is_empty() {
            assert!(!self.ended, "the model lets no metadata appear after the end");
            self.straggle();
        }
    }

    fn tell(&mut self, event: Event) {
        let restarts = matches!(event, Event::TasksRestarted { .. });
        let actions = self.coordinator.handle(event, self.now, 0);
        for action in actions {
            self.perform(action);
            self.check();
        }
        let wakeup = self.coordinator.next_wakeup();
        assert!(
            restarts || wakeup.is_none_or(|at| at > self.now),
            "busy at {:?}: {wakeup:?}",
            self.now
        );
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::InjectBarrier(barrier) => {
                let new = self.open.insert(barrier.checkpoint);
                assert!(new && self.complete.last() < Some(&barrier.checkpoint));
                assert!(!self.failing && !self.finishing, "{barrier:?} when all is over");
                let command = Command::Barrier(barrier);
                self.subtasks.iter_mut().for_each(|s| s.commands.push_back(command));
            }
            Action::Publish(publication) => self.publications.push(publication),
            Action::NotifyComplete(checkpoint) => {
                assert!(self.open.remove(&checkpoint), "{checkpoint} ends twice");
                assert!(self.metadata.contains_key(&checkpoint), "{checkpoint} is not published");
                assert!(self.complete.last() < Some(&checkpoint), "{checkpoint} out of order");
                self.complete.push(checkpoint);
                let command = Command::Completed(checkpoint);
                self.subtasks.iter_mut().for_each(|s| s.commands.push_back(command));
            }
            Action::NotifyAborted(checkpoint, reason) => {
                assert!(self.open.remove(&checkpoint), "{checkpoint} ends twice: {reason}");
            }
            Action::Discard(discarded) => self.discard(&discarded),
            Action::FinishJob => self.finishing = true,
            Action::FailJob(_) => self.failing = true,
        }
    }

    fn discard(&mut self, discarded: &Discarded) {
        if let Some(checkpoint) = discarded.checkpoint {
            self.metadata.remove(&checkpoint);
        }
        for file in &discarded.files {
            self.disk.remove(&name(CheckpointId::FIRST, &file.reference));
            self.check();
        }
        if let Some(checkpoint) = discarded.checkpoint {
            let directory = format!("chk-{checkpoint}/");
            self.disk.retain(|file| !file.starts_with(&directory));
        }
    }

    fn check(&self) {
        for (checkpoint, metadata) in &self.metadata {
            if !self.in_doubt.contains(checkpoint) {
                let missing: Vec<_> = files(metadata).filter(|f| !self.disk.contains(f)).collect();
                assert!(missing.is_empty(), "checkpoint {checkpoint} lacks {missing:?}");
            }
        }
        for completed in self.coordinator.completed() {
            let there = self.metadata.contains_key(&completed.checkpoint());
            assert!(there || self.ended, "{} is complete and not there", completed.checkpoint());
        }
        let under_way = self.coordinator.pending().count();
        assert!(under_way <= self.config.max_concurrent.get() as usize, "{under_way} at a time");
    }

    fn command(&mut self, rng: &mut Rng) {
        let index = rng.below(self.subtasks.len());
        if let Some(command) = self.subtasks[index].commands.pop_front() {
            let faulty = rng.chance(4);
            self.obey(index, command, faulty, rng);
        }
    }

    fn obey(&mut self, index: usize, command: Command, faulty: bool, rng: &mut Rng) {
        let subtask = &mut self.subtasks[index];
        let barrier = match command {
            Command::Completed(checkpoint) => return subtask.completed(checkpoint),
            Command::Barrier(barrier) => barrier,
        };
        let (ack, written) = subtask.snapshot(barrier, self.attempt, &mut self.names, rng);
        let checkpoint = barrier.checkpoint;
        if !faulty {
            self.disk.extend(written.iter().map(|file| name(checkpoint, file)));
            self.reports.push(Event::Acknowledged(ack));
            return;
        }
        // It failed in the middle: what it has not finished is not there, what it has finished in
        // the checkpoint's directory is, and maybe nobody is told.
        let exclusive = written.iter().filter(|f| matches!(f, FileReference::InCheckpoint(_)));
        self.disk.extend(exclusive.map(|file| name(checkpoint, file)));
        if rng.chance(70) {
            let (task, subtask) = (ack.task, ack.subtask);
            let reason = "no space".to_owned().into();
            self.reports.push(Event::Declined { checkpoint, task, subtask, reason });
        }
    }

    fn report(&mut self, rng: &mut Rng) {
        if self.reports.is_empty() {
            return;
        }
        let index = rng.below(self.reports.len());
        let event = if rng.chance(5) {
            self.reports[index].clone()
        } else {
            self.reports.swap_remove(index)
        };
        self.tell(event);
    }

    fn publication(&mut self, rng: &mut Rng) {
        if self.publications.is_empty() {
            return;
        }
        let publication = self.publications.swap_remove(rng.below(self.publications.len()));
        let checkpoint = publication.checkpoint();
        let fate = rng.below(100);
        if !(80..96).contains(&fate) {
            self.land(publication.metadata());
        }
        if fate < 80 {
            return self.tell(Event::Published(checkpoint));
        }
        let determinacy =
            if fate < 90 { Determinacy::Determinate } else { Determinacy::Indeterminate };
        if (93..96).contains(&fate) && !self.ended {
            self.in_doubt.insert(checkpoint);
            self.stragglers.push(Arc::clone(publication.metadata()));
        }
        self.tell(Event::PublishFailed { checkpoint, determinacy });
    }

    fn land(&mut self, metadata: &Arc<CheckpointMetadata>) {
        let before = self.metadata.insert(metadata.checkpoint, Arc::clone(metadata));
        assert!(before.is_none(), "checkpoint {} is published twice", metadata.checkpoint);
        self.check();
    }

    fn straggle(&mut self) {
        if let Some(metadata) = self.stragglers.pop() {
            self.land(&metadata);
        }
    }

    /// An acknowledgement of nobody, or of a checkpoint that never was.
    fn stranger(&mut self, rng: &mut Rng) {
        let subtask = &self.subtasks[rng.below(self.subtasks.len())];
        let never = subtask.acknowledgement(id(1_000_000), state_with(&[]));
        let newest = self.open.last().copied().unwrap_or(CheckpointId::FIRST);
        let mut nobody = subtask.acknowledgement(newest, state_with(&[]));
        nobody.task = TaskId::new(9);
        self.tell(Event::Acknowledged(if rng.chance(50) { never } else { nobody }));
    }

    fn restart(&mut self) {
        self.attempt = self.attempt.next();
        self.tell(Event::TasksRestarted { attempt: self.attempt });
        self.failing = false;
        self.finishing = false;
        self.restart_tasks();
    }

    fn restart_tasks(&mut self) {
        let latest = self.coordinator.latest_completed().map(|c| Arc::clone(c.metadata()));
        let from = latest.or_else(|| self.restored.clone());
        for subtask in &mut self.subtasks {
            let operator =
                from.iter().flat_map(|m| &m.operators).find(|o| o.uid == subtask.operator);
            let states = operator.into_iter().flat_map(|operator| &operator.subtasks);
            let own = states.filter(|(index, _)| *index == subtask.subtask.index());
            let shared = own.flat_map(|(_, state)| &state.keyed[0].shared);
            let shared: Vec<_> = shared.map(|shared| shared.file.clone()).collect();
            subtask.restart(&shared, &mut self.names);
        }
    }
}
