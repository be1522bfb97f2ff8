//! Writes a large file on a thread of its own, while whoever makes its bytes makes more.
//!
//! Invariant: at most [`BUFFERS`] buffers wait, besides the one that is filled and the one that is written, so that a
//! slow disk holds back whoever writes.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::sink::Sink;
use crate::StorageError;

/// The length of a buffer in bytes.
pub(super) const BUFFER: usize = 1 << 20;
const BUFFERS: usize = 4;

/// When this is dropped the thread ends, with what it has been given so far.
pub(super) struct WriteBehind {
    full: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
    thread: JoinHandle<Result<Sink, StorageError>>,
}

impl WriteBehind {
    /// Gives the sink back when there is no thread to be had.
    pub(super) fn start(sink: Sink) -> Result<Self, Sink> {
        let (full, to_write) = sync_channel::<Vec<u8>>(BUFFERS);
        let (written, empty) = sync_channel(BUFFERS);
        // Handed over afterwards: what a thread that cannot be started was to run is dropped.
        let (hand_over, handed) = sync_channel::<Sink>(1);
        let write = move || {
            let mut sink = handed.recv().expect("it is sent as soon as there is a thread");
            for mut buffer in to_write {
                sink.put(&buffer)?;
                buffer.clear();
                // One more than there is room for is given up.
                let _ = written.try_send(buffer);
            }
            Ok(sink)
        };
        let Ok(thread) = std::thread::Builder::new().name("tidegate-write".to_owned()).spawn(write)
        else {
            return Err(sink);
        };
        hand_over.send(sink).expect("the thread waits for it");
        Ok(Self { full, empty, thread })
    }

    /// Has a buffer written, and gives an empty one.
    ///
    /// # Errors
    ///
    /// The buffer is lost, and there is to be no further one, when the thread has ended: see
    /// [`finish`](Self::finish) for why.
    pub(super) fn put(&mut self, buffer: Vec<u8>) -> Result<Vec<u8>, Ended> {
        self.full.send(buffer).map_err(|_| Ended)?;
        Ok(self.empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(BUFFER)))
    }

    /// Waits until everything is written.
    pub(super) fn finish(self) -> Result<Sink, StorageError> {
        drop(self.full);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// A write has failed before.
#[derive(Debug)]
pub(super) struct Ended;
