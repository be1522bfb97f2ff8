//! Writes one file as a stream.
//!
//! A file that fits the buffer is kept until it is finished, and written anew as a whole when a
//! DataNode fails. A longer one goes out as it comes ([`Stream`]).

use std::io::{self, Write};
use std::mem;
use std::sync::Arc;

use bytes::BytesMut;
use tidegate_store::{
    Determinacy, FinishedFile, Operation, StateReader as _, StateWriter, StorageError,
};
use tidegate_types::DigestBuilder;

use crate::cluster::Cluster;
use crate::failure::{Failure, Kind};
use crate::path;
use crate::place::{self, Placement};
use crate::reader::HdfsReader;
use crate::stream::Stream;

/// What is held in memory, and the length in bytes up to which a file is written anew when that fails.
const BUFFER: usize = 1 << 20;

pub(crate) struct HdfsWriter {
    cluster: Arc<Cluster>,
    target: String,
    uri: String,
    buffer: BytesMut,
    stream: Option<Stream>,
    digest: DigestBuilder,
    length: u64,
    /// Some bytes may be missing, so that the file must never be finished.
    failed: bool,
}

impl HdfsWriter {
    pub(crate) fn new(cluster: Arc<Cluster>, target: String, uri: String) -> Self {
        let (buffer, digest) = (BytesMut::with_capacity(BUFFER), DigestBuilder::new());
        Self { cluster, target, uri, buffer, stream: None, digest, length: 0, failed: false }
    }

    /// Sends what the buffer holds on its way.
    fn send(&mut self) -> Result<(), StorageError> {
        if self.failed {
            return Err(self.error(Failure::new(Kind::Refused, "an earlier write failed")));
        }
        let bytes = mem::replace(&mut self.buffer, BytesMut::with_capacity(BUFFER)).freeze();
        let runtime = self.cluster.runtime().clone();
        let sent = runtime.block_on(async {
            let stream = match self.stream.take() {
                Some(stream) => stream,
                None => Stream::start(&self.cluster, path::parent(&self.target)).await?,
            };
            let stream = self.stream.insert(stream);
            stream.send(&self.cluster, bytes.clone()).await
        });
        self.failed = sent.is_err();
        self.digest.update(&bytes);
        self.length += bytes.len() as u64;
        sent.map_err(|failure| self.error(failure))
    }

    /// All bytes durable under a temporary name.
    fn complete(&mut self) -> Result<String, StorageError> {
        let runtime = self.cluster.runtime().clone();
        if self.stream.is_none() {
            self.digest.update(&self.buffer);
            self.length = self.buffer.len() as u64;
            let directory = path::parent(&self.target);
            let write = place::write_temporary(&self.cluster, directory, &self.buffer, true);
            return runtime.block_on(write).map_err(|failure| self.error(failure));
        }
        if self.failed || !self.buffer.is_empty() {
            self.send()?;
        }
        let stream = self.stream.as_mut().expect("a stream that was started");
        match runtime.block_on(stream.finish(&self.cluster)) {
            Ok(()) => Ok(self.stream.take().expect("the same stream").temporary),
            Err(failure) => Err(self.error(failure)),
        }
    }

    /// Whether what lies under the file's name is what was written here.
    async fn is_ours(&self, finished: FinishedFile) -> Result<bool, StorageError> {
        let (cluster, target) = (Arc::clone(&self.cluster), self.target.clone());
        let reader = HdfsReader::open(cluster, target, self.uri.clone()).await?;
        if reader.length() != finished.length {
            return Ok(false);
        }
        let (mut digest, mut offset) = (DigestBuilder::new(), 0);
        let mut buffer = vec![0; BUFFER];
        while offset < finished.length {
            let part = usize::try_from(finished.length - offset).unwrap_or(BUFFER).min(BUFFER);
            let failed = |failure: Failure| failure.certainly(Operation::Read, &*self.uri);
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            reader.fill(start, &mut buffer[..part]).await.map_err(failed)?;
            digest.update(&buffer[..part]);
            offset += part as u64;
        }
        Ok(digest.finish() == finished.digest)
    }

    fn error(&self, failure: Failure) -> StorageError {
        failure.certainly(Operation::Write, &*self.uri)
    }
}

impl Write for HdfsWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() == BUFFER || self.failed {
            self.send().map_err(StorageError::into_io)?;
        }
        let taken = bytes.len().min(BUFFER - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    /// Nothing is visible before it is finished, so nothing need go out before.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl StateWriter for HdfsWriter {
    fn finish(mut self: Box<Self>) -> Result<FinishedFile, StorageError> {
        let temporary = self.complete()?;
        let finished = FinishedFile { length: self.length, digest: self.digest.finish() };
        let unknown = |failure: Failure| {
            failure.at(Operation::Publish, &*self.uri, Determinacy::Indeterminate)
        };
        let exists = || StorageError::AlreadyExists { path: self.uri.as_str().into() };
        let removed = || Failure::new(Kind::Refused, "somebody removed the unfinished file");
        let runtime = self.cluster.runtime().clone();
        runtime.block_on(async {
            match place::place(&self.cluster, &temporary, &self.target).await.map_err(unknown)? {
                Placement::Named => Ok(finished),
                Placement::Exists => Err(exists()),
                Placement::Gone => Err(removed().certainly(Operation::Publish, &*self.uri)),
                Placement::GoneOrNamed => match self.is_ours(finished).await {
                    Ok(true) => Ok(finished),
                    Ok(false) => Err(exists()),
                    Err(StorageError::Missing { .. }) => {
                        Err(removed().certainly(Operation::Publish, &*self.uri))
                    }
                    Err(_) => Err(unknown(Failure::new(Kind::Unanswered, "the answer was lost"))),
                },
            }
        })
    }
}

impl Drop for HdfsWriter {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            self.cluster.delete_later(stream.temporary);
        }
    }
}
