//! Syncs a large file while it is being written, on a thread of its own.
//!
//! Invariant: a failure is told by [`SyncAhead::join`], since the system tells of it only once.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::disk::{Disk, Step};

/// The thread ends when this is dropped.
pub(super) struct SyncAhead {
    requests: SyncSender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl SyncAhead {
    /// `None` when there is no thread to be had.
    pub(super) fn start(disk: Arc<Disk>, target: PathBuf, file: File) -> Option<Self> {
        let (requests, received) = sync_channel(1);
        let sync = move || {
            received.iter().try_for_each(|()| {
                disk.step(Step::SyncFile, &target)?;
                file.sync_data()
            })
        };
        let thread = std::thread::Builder::new().name("tidegate-sync".to_owned()).spawn(sync);
        Some(Self { requests, thread: thread.ok()? })
    }

    /// Asks for a sync of what is written. Does not wait: one that runs already is followed by
    /// another, and of more nobody is the better off.
    pub(super) fn go(&self) {
        let _ = self.requests.try_send(());
    }

    /// Waits for the last sync; the first failure of any.
    pub(super) fn join(self) -> io::Result<()> {
        drop(self.requests);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}
