//! The thread that publishes and deletes checkpoints, one after the other, in the order asked for.
//!
//! Neither the job's tasks nor its driver wait for the storage, so that a store that hangs delays
//! checkpoints and nothing else: above all not the job's end.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use tidegate_coordinator::{Discarded, Event, PendingPublication, discard, publish_owned};
use tidegate_store::StorageError;

use crate::launch::chain;
use crate::place::CheckpointPlace;

/// How many deletions that failed are kept to be tried again. What is beyond that is found by the
/// next owner of the directory.
const RETRIED_MAX: usize = 1_000;

enum Job {
    Publish(PendingPublication),
    Discard(Discarded),
}

/// What the thread has done.
#[derive(Debug)]
pub(crate) enum StorageReport {
    /// A publication has come to its end: for the coordinator.
    Publication(Event),
    /// Something was deleted, or could not be.
    Deletion,
}

/// The driver's side. Dropping it waits for the thread's end if it has nothing to do, and otherwise
/// leaves it to itself.
pub(crate) struct StorageThread {
    // `None` when it is being dropped.
    jobs: Option<Sender<Job>>,
    reports: Receiver<StorageReport>,
    publications: usize,
    deletions: usize,
    thread: Option<JoinHandle<()>>,
}

impl StorageThread {
    pub(crate) fn start(place: Arc<CheckpointPlace>) -> Self {
        let (jobs, queue) = unbounded();
        let (reports_in, reports) = unbounded();
        let worker = Worker { place, retried: Vec::new() };
        let thread = std::thread::Builder::new()
            .name("storage".to_owned())
            .spawn(move || worker.run(&queue, &reports_in))
            .expect("the system has a thread for the storage");
        let (jobs, thread) = (Some(jobs), Some(thread));
        Self { jobs, reports, publications: 0, deletions: 0, thread }
    }

    pub(crate) fn publish(&mut self, publication: PendingPublication) {
        self.publications += 1;
        self.send(Job::Publish(publication));
    }

    pub(crate) fn discard(&mut self, discarded: Discarded) {
        self.deletions += 1;
        self.send(Job::Discard(discarded));
    }

    fn send(&self, job: Job) {
        let jobs = self.jobs.as_ref().expect("it is not being dropped");
        jobs.send(job).expect("the thread lives as long as it can be asked");
    }

    /// Where the reports come from; each is to be shown to [`note`](Self::note).
    pub(crate) fn reports(&self) -> &Receiver<StorageReport> {
        &self.reports
    }

    /// Takes a report; gives what the coordinator is to be told.
    pub(crate) fn note(&mut self, report: StorageReport) -> Option<Event> {
        match report {
            StorageReport::Publication(event) => {
                self.publications -= 1;
                Some(event)
            }
            StorageReport::Deletion => {
                self.deletions -= 1;
                None
            }
        }
    }

    pub(crate) fn is_publishing(&self) -> bool {
        self.publications > 0
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.publications + self.deletions == 0
    }

    /// The next report, unless the storage does nothing for this long.
    pub(crate) fn next(&self, within: Duration) -> Option<StorageReport> {
        match self.reports.recv_timeout(within) {
            Ok(report) => Some(report),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                unreachable!("the thread lives as long as it can be asked")
            }
        }
    }
}

impl Drop for StorageThread {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take().filter(|_| self.is_idle()) {
            // So that the directory has been given free when we are gone.
            let _ = thread.join();
        }
    }
}

struct Worker {
    place: Arc<CheckpointPlace>,
    // What could not be deleted, to be tried again with the next deletion: nobody refers to it, and
    // no name is used twice.
    retried: Vec<Discarded>,
}

impl Worker {
    fn run(mut self, jobs: &Receiver<Job>, reports: &Sender<StorageReport>) {
        for job in jobs {
            let report = match job {
                Job::Publish(publication) => StorageReport::Publication(self.publish(&publication)),
                Job::Discard(discarded) => {
                    let again = std::mem::take(&mut self.retried);
                    again.into_iter().chain([discarded]).for_each(|old| self.discard(old));
                    StorageReport::Deletion
                }
            };
            // The driver has gone when the job's end could not wait for us.
            if reports.send(report).is_err() {
                return;
            }
        }
    }

    fn publish(&self, publication: &PendingPublication) -> Event {
        let CheckpointPlace { storage, paths, ownership } = &*self.place;
        let outcome = publish_owned(&**storage, &**ownership, paths, publication.metadata());
        if let Err(error) = &outcome {
            tracing::warn!("checkpoint {}: {}", publication.checkpoint(), chain(error));
        }
        Event::of_publication(publication.checkpoint(), &outcome)
    }

    fn discard(&mut self, discarded: Discarded) {
        let CheckpointPlace { storage, paths, ownership } = &*self.place;
        // Who has taken the directory over numbers his checkpoints far above ours, so that nothing
        // of his is hit even if that happens right after this question.
        let result = ownership.check().and_then(|()| discard(&**storage, paths, &discarded));
        match result {
            Ok(()) | Err(StorageError::OwnershipLost { .. }) => {}
            Err(error) => {
                tracing::warn!("cannot delete what is no longer needed: {}", chain(&error));
                if self.retried.len() < RETRIED_MAX {
                    self.retried.push(discarded);
                }
            }
        }
    }
}
