//! Uploads one file.
//!
//! What fits in one part is created in one request, if absent. What does not is uploaded in parts,
//! which appear as the file when the upload is completed. No store completes an upload only if there
//! is no file of its name, so that is asked right before; two uploads that complete at the same
//! moment can both succeed. The names of data files are their writers' own, so none does.

use std::sync::Arc;

use bytes::Bytes;
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{Error, MultipartId, PutMultipartOptions, PutPayload};
use tidegate_store::{FinishedFile, Operation, StateWriter, StorageError};
use tidegate_store_remote::{GivenUp, NextPart, Part, Parts, UploadWriter, retry};
use tokio::task::JoinSet;

use crate::bucket::{Bucket, Made, attributes, new_writer};
use crate::failure;

pub(crate) struct ObjectWriter(UploadWriter);

impl ObjectWriter {
    pub(crate) fn start(bucket: &Arc<Bucket>, path: Path, shown: Box<str>) -> Self {
        let upload = Upload {
            bucket: Arc::clone(bucket),
            path,
            shown: shown.clone(),
            writer: new_writer(),
        };
        let memory = bucket.options.memory;
        Self(UploadWriter::start(&bucket.runtime, shown, memory, |parts| upload.run(parts)))
    }
}

impl std::io::Write for ObjectWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl StateWriter for ObjectWriter {
    fn finish(self: Box<Self>) -> Result<FinishedFile, StorageError> {
        self.0.finish()
    }
}

struct Upload {
    bucket: Arc<Bucket>,
    path: Path,
    shown: Box<str>,
    writer: String,
}

// Why an upload did not become a file.
enum Ended {
    Abandoned,
    Failed(StorageError),
}

impl Upload {
    async fn run(self, mut parts: Parts) -> Result<(), StorageError> {
        let part_size = self.bucket.options.memory.part_size;
        let first = match parts.next().await {
            NextPart::Abandoned => return Ok(()),
            NextPart::Finished(_) => return self.create(Bytes::new()).await,
            NextPart::Part(first) => first,
        };
        if first.len() < part_size {
            return match parts.next().await {
                NextPart::Finished(_) => self.create(first.bytes()).await,
                _ => Ok(()),
            };
        }
        let id = self.begin().await?;
        match self.transfer(&id, first, &mut parts).await {
            Ok(()) => Ok(()),
            Err(ended) => {
                self.abort(&id).await;
                match ended {
                    Ended::Abandoned => Ok(()),
                    Ended::Failed(error) => Err(error),
                }
            }
        }
    }

    async fn create(&self, bytes: Bytes) -> Result<(), StorageError> {
        match self.bucket.create(&self.path, bytes, &self.writer).await {
            Ok(Made::Created) => Ok(()),
            Ok(Made::Exists(_)) => Err(self.exists()),
            Err(error) => Err(self.failed(Operation::Publish, &error)),
        }
    }

    async fn begin(&self) -> Result<MultipartId, StorageError> {
        let Bucket { client, options, .. } = &*self.bucket;
        let begun = retry(&options.retry, failure::class, |_| async {
            let attributes = attributes(&self.writer);
            let marked = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
            match client.create_multipart_opts(&self.path, marked).await {
                // Azure: there, completing twice does no harm.
                Err(Error::NotSupported { .. }) => client.create_multipart(&self.path).await,
                begun => begun,
            }
        });
        begun.await.map_err(|error| self.failed(Operation::Write, &error))
    }

    async fn transfer(
        &self,
        id: &MultipartId,
        first: Part,
        parts: &mut Parts,
    ) -> Result<(), Ended> {
        let mut under_way = JoinSet::new();
        let mut uploaded = Vec::new();
        let mut next = NextPart::Part(first);
        loop {
            match next {
                NextPart::Part(part) => {
                    under_way.spawn(self.put_part(id.clone(), uploaded.len(), part));
                    uploaded.push(None);
                }
                NextPart::Abandoned => {
                    under_way.shutdown().await;
                    return Err(Ended::Abandoned);
                }
                NextPart::Finished(file) => {
                    while let Some(done) = under_way.join_next().await {
                        self.take(done, &mut uploaded)?;
                    }
                    let ids = uploaded.into_iter().map(|id| id.expect("was awaited")).collect();
                    return self.complete(id, ids, file).await.map_err(Ended::Failed);
                }
            }
            next = loop {
                tokio::select! {
                    next = parts.next() => break next,
                    Some(done) = under_way.join_next() => self.take(done, &mut uploaded)?,
                }
            };
        }
    }

    fn put_part(
        &self,
        id: MultipartId,
        index: usize,
        part: Part,
    ) -> impl Future<Output = (usize, Result<PartId, GivenUp<Error>>)> + Send + use<> {
        let (bucket, path) = (Arc::clone(&self.bucket), self.path.clone());
        async move {
            let put = retry(&bucket.options.retry, failure::class, |_| {
                let payload = PutPayload::from_bytes(part.bytes());
                bucket.client.put_part(&path, &id, index, payload)
            });
            (index, put.await)
        }
    }

    fn take(
        &self,
        done: Result<(usize, Result<PartId, GivenUp<Error>>), tokio::task::JoinError>,
        uploaded: &mut [Option<PartId>],
    ) -> Result<(), Ended> {
        let (index, put) = done.expect("a transfer does not panic and is not cancelled");
        let id = put.map_err(|error| Ended::Failed(self.failed(Operation::Write, &error)))?;
        uploaded[index] = Some(id);
        Ok(())
    }

    async fn complete(
        &self,
        id: &MultipartId,
        parts: Vec<PartId>,
        file: FinishedFile,
    ) -> Result<(), StorageError> {
        let Bucket { client, options, .. } = &*self.bucket;
        let before = self.bucket.head(&self.path).await;
        if before.map_err(|error| self.failed(Operation::Publish, &error))?.is_some() {
            return Err(self.exists());
        }
        let completed = retry(&options.retry, failure::class, |_| async {
            client.complete_multipart(&self.path, id, parts.clone()).await
        });
        let Err(error) = completed.await else { return Ok(()) };
        // An upload that is not there any more was completed by an attempt whose answer got lost.
        if error.may_have_happened
            && let Ok(Some(found)) = self.bucket.head(&self.path).await
            && found.length == file.length
            && found.writer.is_none_or(|writer| writer == self.writer)
        {
            return Ok(());
        }
        Err(self.failed(Operation::Publish, &error))
    }

    // What this leaves, a life-cycle rule of the bucket has to remove.
    async fn abort(&self, id: &MultipartId) {
        let Bucket { client, options, .. } = &*self.bucket;
        let aborted = retry(&options.retry, failure::class, |_| async {
            match client.abort_multipart(&self.path, id).await {
                Err(Error::NotFound { .. }) => Ok(()),
                other => other,
            }
        });
        let _ = aborted.await;
    }

    fn exists(&self) -> StorageError {
        StorageError::AlreadyExists { path: self.shown.clone() }
    }

    fn failed(&self, operation: Operation, error: &GivenUp<Error>) -> StorageError {
        failure::given_up(operation, self.shown.clone(), error)
    }
}
