//! The thread that publishes and deletes checkpoints, one after the other, in the order asked for.
//!
//! Neither the job's tasks nor its driver wait for the storage, so that a store that hangs delays
//! checkpoints and nothing else: above all not the job's end. What is to be done comes as a function;
//! of places and checkpoints the thread knows nothing.

use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use tidegate_coordinator::Event;
use tidegate_store::StorageError;

use crate::launch::chain;

/// How many deletions that failed are kept to be tried again. What is beyond that is found by the
/// next owner of the directory.
const RETRIED_MAX: usize = 1_000;

/// Publishes a checkpoint, and gives what the coordinator is to be told.
pub(crate) type Publication = Box<dyn FnOnce() -> Event + Send>;
/// Deletes something that nobody refers to any more. It may be called again after it has failed.
pub(crate) type Deletion = Box<dyn FnMut() -> Result<(), StorageError> + Send>;

enum Job {
    Publish(Publication),
    Delete(Deletion),
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
    pub(crate) fn start() -> Self {
        let (jobs, queue) = unbounded();
        let (reports_in, reports) = unbounded();
        let thread = std::thread::Builder::new()
            .name("storage".to_owned())
            .spawn(move || work(&queue, &reports_in))
            .expect("the system has a thread for the storage");
        let (jobs, thread) = (Some(jobs), Some(thread));
        Self { jobs, reports, publications: 0, deletions: 0, thread }
    }

    pub(crate) fn publish(&mut self, publication: Publication) {
        self.publications += 1;
        self.send(Job::Publish(publication));
    }

    pub(crate) fn delete(&mut self, deletion: Deletion) {
        self.deletions += 1;
        self.send(Job::Delete(deletion));
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
            // So that what it held is free when we are gone.
            let _ = thread.join();
        }
    }
}

fn work(jobs: &Receiver<Job>, reports: &Sender<StorageReport>) {
    let mut failed: Vec<Deletion> = Vec::new();
    for job in jobs {
        let report = match job {
            Job::Publish(publish) => StorageReport::Publication(publish()),
            Job::Delete(deletion) => {
                // A store that was out of order may be well again.
                failed.push(deletion);
                failed.retain_mut(|delete| !is_done(delete()));
                failed.truncate(RETRIED_MAX);
                StorageReport::Deletion
            }
        };
        // The driver has gone when the job's end could not wait for us.
        if reports.send(report).is_err() {
            return;
        }
    }
}

fn is_done(deleted: Result<(), StorageError>) -> bool {
    match deleted {
        // What was ours is somebody else's now, and not to be deleted by us.
        Ok(()) | Err(StorageError::OwnershipLost { .. }) => true,
        Err(error) => {
            tracing::warn!("cannot delete what is no longer needed: {}", chain(&error));
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_types::CheckpointId;

    use super::*;

    #[test]
    fn nobody_waits_for_a_publication_that_hangs() {
        let (release, hangs) = unbounded::<()>();
        let mut storage = StorageThread::start();
        storage.publish(Box::new(move || {
            let _ = hangs.recv();
            Event::Published(CheckpointId::FIRST)
        }));
        storage.delete(Box::new(|| Ok(())));
        assert!(storage.next(Duration::from_millis(20)).is_none());
        assert!(storage.is_publishing() && !storage.is_idle());
        // It comes to its end here, though nothing was released.
        drop(storage);
        drop(release);
    }

    #[test]
    fn jobs_are_done_in_order_and_a_failed_deletion_is_tried_again() {
        let missing = || StorageError::Missing { path: "x".into() };
        let mut storage = StorageThread::start();
        let (told, calls) = unbounded();
        let mut failures = 2;
        storage.delete(Box::new(move || {
            told.send(failures).unwrap();
            failures -= 1;
            if failures < 0 { Ok(()) } else { Err(missing()) }
        }));
        storage.publish(Box::new(|| Event::Published(CheckpointId::FIRST)));
        for _ in 0..3 {
            storage.delete(Box::new(|| Ok(())));
        }
        let mut events = Vec::new();
        while !storage.is_idle() {
            let report = storage.next(Duration::MAX).unwrap();
            events.push(storage.note(report).is_some());
        }
        assert_eq!(events, [false, true, false, false, false]);
        drop(storage);
        assert_eq!(calls.iter().collect::<Vec<_>>(), [2, 1, 0]);
    }
}
