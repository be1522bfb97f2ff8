//! Reads one file at any offset, several parts of it at a time.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hdfs_native::Client;
use hdfs_native::file::FileReader;
use tidegate_store::{Operation, StateReader, StorageError};
use tokio::sync::Mutex;

use crate::cluster::Cluster;
use crate::failure::{Failure, Kind};

/// What is longer is read in parts of this length, in bytes, some of them at a time.
const PART: usize = 8 << 20;
const PARTS_AT_A_TIME: usize = 4;

pub(crate) struct HdfsReader {
    cluster: Arc<Cluster>,
    path: String,
    uri: String,
    length: u64,
    /// Where the blocks are; asked for anew when they are there no more.
    blocks: Mutex<Arc<FileReader>>,
}

impl HdfsReader {
    pub(crate) async fn open(
        cluster: Arc<Cluster>,
        path: String,
        uri: String,
    ) -> Result<Self, StorageError> {
        let opened = cluster.repeated(async |client: Client| client.read(&path).await).await;
        let (reader, _) = opened.map_err(|failure| failure.certainly(Operation::Read, &*uri))?;
        let length = reader.file_length() as u64;
        Ok(Self { cluster, path, uri, length, blocks: Mutex::new(Arc::new(reader)) })
    }

    /// Whether these bytes are its whole content.
    pub(crate) async fn holds(&self, bytes: &[u8]) -> Result<bool, Failure> {
        if self.length != bytes.len() as u64 {
            return Ok(false);
        }
        let mut found = vec![0; bytes.len()];
        self.fill(0, &mut found).await?;
        Ok(found == bytes)
    }

    /// Fills the buffer from `offset` on, which the file has.
    pub(crate) async fn fill(&self, offset: usize, buffer: &mut [u8]) -> Result<(), Failure> {
        let mut parts = buffer.chunks_mut(PART).enumerate();
        let mut reading = FuturesUnordered::new();
        loop {
            while reading.len() < PARTS_AT_A_TIME
                && let Some((number, part)) = parts.next()
            {
                reading.push(self.fill_part(offset + number * PART, part));
            }
            match reading.next().await {
                Some(read) => read?,
                None => return Ok(()),
            }
        }
    }

    async fn fill_part(&self, offset: usize, buffer: &mut [u8]) -> Result<(), Failure> {
        let mut patience = self.cluster.patience();
        loop {
            let blocks = Arc::clone(&*self.blocks.lock().await);
            let read = self.cluster.transfer(async |_| blocks.read_range_buf(buffer, offset).await);
            let Err(failure) = read.await else { return Ok(()) };
            patience.pause_after(failure).await?;
            self.locate_again(&blocks).await?;
        }
    }

    /// DataNodes that have failed are avoided from then on by whoever knows the blocks, and blocks move.
    async fn locate_again(&self, known: &Arc<FileReader>) -> Result<(), Failure> {
        let mut blocks = self.blocks.lock().await;
        if !Arc::ptr_eq(&blocks, known) {
            return Ok(());
        }
        let again = self.cluster.repeated(async |client: Client| client.read(&self.path).await);
        let (reader, _) = again.await?;
        if reader.file_length() as u64 != self.length {
            return Err(Failure::new(
                Kind::Refused,
                "it has another length than when it was opened",
            ));
        }
        *blocks = Arc::new(reader);
        Ok(())
    }
}

impl StateReader for HdfsReader {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StorageError> {
        let wanted = buffer.len() as u64;
        let start = usize::try_from(offset).ok();
        let end = offset.checked_add(wanted);
        let (Some(start), true) = (start, end.is_some_and(|end| end <= self.length)) else {
            let (path, length) = (self.uri.as_str().into(), self.length);
            return Err(StorageError::OutOfBounds { path, offset, wanted, length });
        };
        let filled = self.cluster.runtime().block_on(self.fill(start, buffer));
        filled.map_err(|failure| failure.certainly(Operation::Read, &*self.uri))
    }

    fn read_all(&self, limit: u64) -> Result<Vec<u8>, StorageError> {
        let too_long = || {
            let (path, length) = (self.uri.as_str().into(), self.length);
            StorageError::TooLong { path, length, limit }
        };
        if self.length > limit {
            return Err(too_long());
        }
        let mut bytes = vec![0; usize::try_from(self.length).map_err(|_| too_long())?];
        self.read_at(0, &mut bytes)?;
        Ok(bytes)
    }
}
