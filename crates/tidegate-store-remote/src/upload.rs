//! A file as a stream: written on a sync thread, uploaded in parts on the runtime.
//!
//! What must hold: no more than [`PartMemory`] says is held, however slow the server is; the digest
//! is of what was written; an upload learns for certain whether its file is complete or abandoned.

use std::future::Future;
use std::io::{self, Write};
use std::ops::Deref;
use std::panic;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tidegate_store::{Determinacy, FinishedFile, Operation, StorageError};
use tidegate_types::DigestBuilder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::RemoteRuntime;

// A file's first part grows from here, so that small files take little.
const FIRST_CAPACITY: usize = 64 * 1024;
// How long a dropped writer waits for its upload to be taken back.
const ABANDONING: Duration = Duration::from_secs(5);

/// The memory of one upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartMemory {
    /// The size of every part but the last, in bytes. Not zero.
    pub part_size: usize,
    /// How many parts there are at most: being filled, waiting, on their way. Not zero.
    pub parts: usize,
}

/// One part. Its memory is free for the next one when it is dropped.
#[derive(Debug)]
pub struct Part {
    bytes: Bytes,
    _memory: OwnedSemaphorePermit,
}

impl Part {
    /// The bytes; clones of them share the memory, and must not outlive the part.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        self.bytes.clone()
    }
}

impl Deref for Part {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What an upload is told next.
#[derive(Debug)]
pub enum NextPart {
    /// A part; all but the last are of the same size, and none is empty.
    Part(Part),
    /// There are no more, and this is the whole file.
    Finished(FinishedFile),
    /// The writer was dropped: take back what was uploaded.
    Abandoned,
}

/// The parts of one file, in order.
#[derive(Debug)]
pub struct Parts(mpsc::UnboundedReceiver<NextPart>);

impl Parts {
    /// Waits for what comes next. After the end it is always [`NextPart::Abandoned`].
    pub async fn next(&mut self) -> NextPart {
        self.0.recv().await.unwrap_or(NextPart::Abandoned)
    }
}

/// The writing end of an upload.
#[derive(Debug)]
pub struct UploadWriter {
    runtime: RemoteRuntime,
    path: Box<str>,
    part_size: usize,
    memory: Arc<Semaphore>,
    parts: Option<mpsc::UnboundedSender<NextPart>>,
    upload: Option<JoinHandle<Result<(), StorageError>>>,
    filling: Option<(BytesMut, OwnedSemaphorePermit)>,
    sent: usize,
    digest: DigestBuilder,
    length: u64,
}

impl UploadWriter {
    /// Starts an upload. It is to take all parts until the end, or fail; `path` is what errors name.
    ///
    /// # Panics
    ///
    /// When parts are to have no bytes, or there are to be none.
    pub fn start<F, Fut>(
        runtime: &RemoteRuntime,
        path: impl Into<Box<str>>,
        memory: PartMemory,
        upload: F,
    ) -> Self
    where
        F: FnOnce(Parts) -> Fut,
        Fut: Future<Output = Result<(), StorageError>> + Send + 'static,
    {
        assert!(memory.part_size > 0 && memory.parts > 0, "{memory:?} holds nothing");
        let semaphore = Arc::new(Semaphore::new(memory.parts));
        // Unbounded, since every part in it holds a permit.
        let (sender, receiver) = mpsc::unbounded_channel();
        let upload = upload(Parts(receiver));
        let closing = CloseOnDrop(Arc::clone(&semaphore));
        let upload = runtime.spawn(async move {
            let _closing = closing;
            upload.await
        });
        Self {
            runtime: runtime.clone(),
            path: path.into(),
            part_size: memory.part_size,
            memory: semaphore,
            parts: Some(sender),
            upload: Some(upload),
            filling: None,
            sent: 0,
            digest: DigestBuilder::new(),
            length: 0,
        }
    }

    /// Says that the file is complete, and waits until it is uploaded.
    pub fn finish(mut self) -> Result<FinishedFile, StorageError> {
        self.send_filled();
        let file = FinishedFile { length: self.length, digest: self.digest.finish() };
        if let Some(parts) = self.parts.take() {
            // If nobody hears it, the upload has failed, and says so.
            let _ = parts.send(NextPart::Finished(file));
        }
        self.result_of_upload().map(|()| file)
    }

    fn send_filled(&mut self) {
        if let (Some((bytes, memory)), Some(parts)) = (self.filling.take(), &self.parts) {
            let part = Part { bytes: bytes.freeze(), _memory: memory };
            let _ = parts.send(NextPart::Part(part));
            self.sent += 1;
        }
    }

    fn room(&mut self) -> Result<&mut BytesMut, StorageError> {
        if self.filling.is_none() {
            let memory = Arc::clone(&self.memory);
            let permit = match Arc::clone(&memory).try_acquire_owned() {
                Ok(permit) => Ok(permit),
                Err(_) => self.runtime.wait(memory.acquire_owned()),
            };
            let Ok(permit) = permit else {
                // The upload ended before the file did.
                self.parts = None;
                return Err(self.result_of_upload().err().unwrap_or_else(|| self.failed_before()));
            };
            let capacity =
                if self.sent == 0 { FIRST_CAPACITY.min(self.part_size) } else { self.part_size };
            self.filling = Some((BytesMut::with_capacity(capacity), permit));
        }
        Ok(self.filling.as_mut().map(|(bytes, _)| bytes).expect("was filled just now"))
    }

    fn result_of_upload(&mut self) -> Result<(), StorageError> {
        let Some(upload) = self.upload.take() else { return Err(self.failed_before()) };
        match self.runtime.wait(upload) {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => panic::resume_unwind(panic),
                Err(_) => {
                    let error = io::Error::other("the runtime of remote stores was shut down");
                    Err(self.failed(error))
                }
            },
        }
    }

    fn failed_before(&self) -> StorageError {
        self.failed(io::Error::other("an earlier write failed"))
    }

    fn failed(&self, error: io::Error) -> StorageError {
        let path = self.path.clone();
        StorageError::from_io(Operation::Write, path, Determinacy::Determinate, error)
    }
}

impl Write for UploadWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let part_size = self.part_size;
        let filling = self.room().map_err(StorageError::into_io)?;
        let taken = &bytes[..bytes.len().min(part_size - filling.len())];
        filling.extend_from_slice(taken);
        let is_full = filling.len() == part_size;
        self.digest.update(taken);
        self.length += taken.len() as u64;
        if is_full {
            self.send_filled();
        }
        Ok(taken.len())
    }

    /// Does nothing: nothing of a file is durable before all of it is.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for UploadWriter {
    fn drop(&mut self) {
        self.parts = None;
        self.filling = None;
        if let Some(upload) = self.upload.take() {
            // Not for long: a server that hangs shall hold up nobody who gives up on it.
            let _ = self.runtime.wait(async { timeout(ABANDONING, upload).await });
        }
    }
}

struct CloseOnDrop(Arc<Semaphore>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use parking_lot::Mutex;
    use tidegate_types::Digest;

    use super::*;

    const MEMORY: PartMemory = PartMemory { part_size: 10, parts: 3 };

    fn collect(
        parts: Parts,
        into: Arc<Mutex<Vec<Vec<u8>>>>,
        ended: Arc<Mutex<Option<NextPart>>>,
    ) -> impl Future<Output = Result<(), StorageError>> + Send {
        let mut parts = parts;
        async move {
            loop {
                match parts.next().await {
                    NextPart::Part(part) => into.lock().push(part.to_vec()),
                    end => {
                        *ended.lock() = Some(end);
                        return Ok(());
                    }
                }
            }
        }
    }

    #[test]
    fn parts_are_of_one_size_in_order_and_digested() {
        let runtime = RemoteRuntime::shared().unwrap();
        let content: Vec<u8> = (0..=255).collect();
        for length in [0, 1, 9, 10, 11, 20, 256] {
            let (into, ended) = (Arc::default(), Arc::default());
            let (i, e) = (Arc::clone(&into), Arc::clone(&ended));
            let mut writer = UploadWriter::start(&runtime, "x", MEMORY, |p| collect(p, i, e));
            content[..length].chunks(7).for_each(|bytes| writer.write_all(bytes).unwrap());
            let file = writer.finish().unwrap();
            assert_eq!(file.digest, Digest::of(&content[..length]));
            let parts = into.lock();
            assert!(parts.iter().rev().skip(1).all(|part| part.len() == 10), "{parts:?}");
            assert!(parts.iter().all(|part| !part.is_empty()), "{parts:?}");
            assert_eq!(parts.concat(), content[..length]);
            assert!(matches!(*ended.lock(), Some(NextPart::Finished(end)) if end == file));
        }
    }

    #[test]
    fn a_dropped_writer_abandons_its_upload_and_waits_for_that() {
        let runtime = RemoteRuntime::shared().unwrap();
        let (into, ended) = (Arc::default(), Arc::default());
        let (i, e) = (Arc::clone(&into), Arc::clone(&ended));
        let mut writer = UploadWriter::start(&runtime, "x", MEMORY, |p| collect(p, i, e));
        writer.write_all(&[0; 25]).unwrap();
        drop(writer);
        assert!(matches!(*ended.lock(), Some(NextPart::Abandoned)));
        assert_eq!(into.lock().concat().len(), 20, "a part that was not full was uploaded");
    }

    #[test]
    fn an_upload_that_fails_fails_the_writer_and_nothing_hangs() {
        let runtime = RemoteRuntime::shared().unwrap();
        let full = || {
            let full = io::Error::from(io::ErrorKind::StorageFull);
            StorageError::from_io(Operation::Write, "x", Determinacy::Determinate, full)
        };
        let upload = move |mut parts: Parts| async move {
            let _held = parts.next().await;
            Err(full())
        };
        let mut writer = UploadWriter::start(&runtime, "x", MEMORY, upload);
        let error = (0..10).find_map(|_| writer.write_all(&[0; 10]).err());
        let error = error.expect("more parts than there is memory for were taken");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        writer.finish().expect_err("a file with a hole was finished");
    }

    #[test]
    fn memory_is_bounded_while_the_server_is_slow() {
        static LIVE: AtomicUsize = AtomicUsize::new(0);
        static MOST: AtomicUsize = AtomicUsize::new(0);
        let runtime = RemoteRuntime::shared().unwrap();
        let upload = |mut parts: Parts| async move {
            let mut held = Vec::new();
            while let NextPart::Part(part) = parts.next().await {
                held.push(part);
                LIVE.fetch_add(1, Ordering::SeqCst);
                MOST.fetch_max(held.len(), Ordering::SeqCst);
                // As many as there can be, before any is given free.
                if held.len() == MEMORY.parts {
                    held.clear();
                }
            }
            Ok(())
        };
        let mut writer = UploadWriter::start(&runtime, "x", MEMORY, upload);
        writer.write_all(&[0; 1000]).unwrap();
        writer.finish().unwrap();
        assert_eq!((LIVE.load(Ordering::SeqCst), MOST.load(Ordering::SeqCst)), (100, 3));
    }
}
