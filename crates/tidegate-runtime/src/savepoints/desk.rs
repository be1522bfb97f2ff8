//! The desk: takes requests for savepoints from the control endpoint and says how they stand.

use std::collections::BTreeMap;

use crossbeam::channel::Sender;
use parking_lot::Mutex;
use tidegate_coordinator::savepoint_name;
use tidegate_store::StorageRegistry;
use tidegate_types::JobId;

use super::{Afterwards, SavepointPlace, SavepointRequest};
use crate::control::{ControlResponse, SavepointReport, SavepointState};
use crate::random::random;

/// How many ended requests can still be asked after.
const REMEMBERED: usize = 64;

/// Where requests are handed in and asked after. Used by the control thread and the driver.
pub(crate) struct SavepointDesk {
    job: JobId,
    registry: StorageRegistry,
    directory: Option<String>,
    requests: Sender<SavepointRequest>,
    reports: Mutex<BTreeMap<u64, SavepointReport>>,
}

impl SavepointDesk {
    pub(super) fn new(
        job: JobId,
        registry: StorageRegistry,
        directory: Option<String>,
        requests: Sender<SavepointRequest>,
    ) -> Self {
        Self { job, registry, directory, requests, reports: Mutex::default() }
    }

    /// Takes a request in, or says why not. Does not wait for the savepoint.
    pub(crate) fn request(
        &self,
        directory: Option<String>,
        afterwards: Afterwards,
    ) -> ControlResponse {
        let refused = |reason: String| ControlResponse::Refused { reason };
        let Some(directory) = directory.or_else(|| self.directory.clone()) else {
            return refused(
                "it has no directory for savepoints: name one, or set state.savepoints.dir"
                    .to_owned(),
            );
        };
        let name = savepoint_name(self.job, random());
        let place = match SavepointPlace::new(&self.registry, &directory, &name) {
            Ok(place) => place,
            Err(error) => return refused(crate::launch::chain(&error)),
        };
        let path = place.uri();
        let id = {
            let mut reports = self.reports.lock();
            let id = reports.last_key_value().map_or(1, |(id, _)| id + 1);
            let pending = SavepointReport { path: path.clone(), ..SavepointReport::default() };
            reports.insert(id, pending);
            if reports.len() > REMEMBERED {
                reports.pop_first();
            }
            id
        };
        match self.requests.send(SavepointRequest { id, place, afterwards }) {
            Ok(()) => ControlResponse::SavepointStarted { id, path },
            Err(_) => refused("the job has ended".to_owned()),
        }
    }

    /// How a request stands.
    pub(crate) fn report(&self, id: u64) -> ControlResponse {
        match self.reports.lock().get(&id) {
            Some(report) => ControlResponse::Savepoint(report.clone()),
            None => ControlResponse::Refused { reason: format!("there is no savepoint {id}") },
        }
    }

    pub(super) fn triggered(&self, id: u64, subtasks: usize) {
        self.change(id, |report| report.subtasks = subtasks);
    }

    pub(super) fn acknowledged(&self, id: u64, bytes: u64) {
        self.change(id, |report| {
            report.acknowledged += 1;
            report.bytes = report.bytes.saturating_add(bytes);
        });
    }

    pub(super) fn completed(&self, id: u64) {
        self.change(id, |report| report.state = SavepointState::Completed);
    }

    pub(super) fn failed(&self, id: u64, reason: &str) {
        self.change(id, |report| {
            report.state = SavepointState::Failed;
            report.failure = Some(reason.to_owned());
        });
    }

    fn change(&self, id: u64, change: impl FnOnce(&mut SavepointReport)) {
        if let Some(report) = self.reports.lock().get_mut(&id) {
            change(report);
        }
    }
}
