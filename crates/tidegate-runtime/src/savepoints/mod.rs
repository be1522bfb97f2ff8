//! Savepoints that somebody has asked for, from the request to the answer.
//!
//! What stays true:
//! - requests are served in their order, which is the coordinator's too;
//! - each request ends once: complete or failed;
//! - a savepoint that was taken in passing commits nothing and is not recovered from, since its
//!   owner may delete it at any time. One that the job stops with is the job's last word: sinks
//!   commit with it.

mod desk;
mod places;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crossbeam::channel::{Receiver, unbounded};
use tidegate_coordinator::Acknowledgement;
use tidegate_store::StorageRegistry;
use tidegate_types::{CheckpointId, JobId};

pub(crate) use desk::SavepointDesk;
pub(crate) use places::{SavepointPlace, SavepointPlaces};

/// What becomes of the job after the savepoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Afterwards {
    /// It goes on.
    GoOn,
    /// It stops as FINISHED. `drain`: event time ends before the barrier, so that windows fire.
    Stop { drain: bool },
}

/// A savepoint that somebody wants.
#[derive(Clone, Debug)]
pub(crate) struct SavepointRequest {
    pub(crate) id: u64,
    pub(crate) place: SavepointPlace,
    pub(crate) afterwards: Afterwards,
}

/// The driver's side: which requests wait, and which savepoint is whose.
pub(crate) struct Savepoints {
    desk: Arc<SavepointDesk>,
    requests: Receiver<SavepointRequest>,
    waiting: VecDeque<SavepointRequest>,
    active: BTreeMap<CheckpointId, SavepointRequest>,
    places: Arc<SavepointPlaces>,
    /// The savepoint that the job stops with, once it is complete.
    last: Option<(CheckpointId, SavepointPlace)>,
}

impl Savepoints {
    /// Of this job; `directory` is where they go if a request does not say.
    pub(crate) fn new(job: JobId, registry: StorageRegistry, directory: Option<String>) -> Self {
        let (sender, requests) = unbounded();
        Self {
            desk: Arc::new(SavepointDesk::new(job, registry, directory, sender)),
            requests,
            waiting: VecDeque::new(),
            active: BTreeMap::new(),
            places: Arc::default(),
            last: None,
        }
    }

    /// Where requests are handed in and asked after.
    pub(crate) fn desk(&self) -> Arc<SavepointDesk> {
        Arc::clone(&self.desk)
    }

    /// What the desk has taken in.
    pub(crate) fn requests(&self) -> &Receiver<SavepointRequest> {
        &self.requests
    }

    /// Where snapshots of savepoints go.
    pub(crate) fn places(&self) -> Arc<SavepointPlaces> {
        Arc::clone(&self.places)
    }

    /// Waits for the coordinator to trigger it.
    pub(crate) fn wait(&mut self, request: SavepointRequest) {
        self.waiting.push_back(request);
    }

    pub(crate) fn refuse(&self, request: &SavepointRequest, reason: &str) {
        self.desk.failed(request.id, reason);
    }

    /// The coordinator has triggered the savepoint that was asked for first.
    pub(crate) fn triggered(&mut self, checkpoint: CheckpointId, subtasks: usize) -> Afterwards {
        let request = self.waiting.pop_front().expect("only requests make savepoints");
        self.places.insert(checkpoint, request.place.clone());
        self.desk.triggered(request.id, subtasks);
        let afterwards = request.afterwards;
        self.active.insert(checkpoint, request);
        afterwards
    }

    pub(crate) fn acknowledged(&self, acknowledgement: &Acknowledgement) {
        if let Some(request) = self.active.get(&acknowledgement.checkpoint) {
            let states = acknowledgement.operators.iter().map(|(_, _, state)| state.length());
            self.desk.acknowledged(request.id, states.sum());
        }
    }

    /// Where the savepoint with this number goes or would have gone.
    pub(crate) fn place(&self, checkpoint: CheckpointId) -> Option<SavepointPlace> {
        self.places.get(checkpoint)
    }

    /// It is published; `None` when it is no savepoint.
    pub(crate) fn completed(&mut self, checkpoint: CheckpointId) -> Option<Afterwards> {
        let request = self.active.remove(&checkpoint)?;
        tracing::info!(%checkpoint, "savepoint complete: {}", request.place.uri());
        self.places.remove(checkpoint);
        self.desk.completed(request.id);
        if let Afterwards::Stop { .. } = request.afterwards {
            self.last = Some((checkpoint, request.place));
        }
        Some(request.afterwards)
    }

    /// It was given up; `None` when it is no savepoint.
    pub(crate) fn aborted(&mut self, checkpoint: CheckpointId, reason: &str) -> Option<Afterwards> {
        let request = self.active.remove(&checkpoint)?;
        self.desk.failed(request.id, reason);
        Some(request.afterwards)
    }

    /// Where the savepoint lies that the job stops with, if it is this one.
    pub(crate) fn last(&self, checkpoint: CheckpointId) -> Option<&SavepointPlace> {
        self.last.as_ref().filter(|(last, _)| *last == checkpoint).map(|(_, place)| place)
    }

    /// The job has ended: nothing that still waits will come.
    pub(crate) fn close(&mut self) {
        let open = self.waiting.drain(..).chain(std::mem::take(&mut self.active).into_values());
        let late = self.requests.try_iter();
        for request in open.chain(late) {
            self.desk.failed(request.id, "the job has ended");
        }
    }
}
