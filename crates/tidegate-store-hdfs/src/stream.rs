//! A file too long to be kept in memory, on its way to the cluster, mended when a DataNode fails.
//!
//! The client goes on without a DataNode that fails in the middle of a block, but not when the next
//! block is given to a dead one, which happens until the NameNode has noticed, after ten minutes as
//! it is usually set up. So what is not yet known to be on disk is kept, and a stream that broke is
//! taken up again: the file is closed by force, its length says what has arrived, and it is appended
//! to from there. Its number of replicas is not touched meanwhile: the NameNode would delete some that
//! it holds for superfluous, perhaps the last living ones.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use hdfs_native::Client;
use hdfs_native::file::FileWriter;

use crate::cluster::Cluster;
use crate::failure::{Failure, Kind};
use crate::path;
use crate::place;

/// The most bytes that are kept: after each so many, at the latest, what was sent is made durable.
const KEPT: u64 = 16 << 20;
/// How often it is tried to open a file that is being closed by force, until that is begun anew, and how
/// often that is.
const RECOVERY_PAUSE: Duration = Duration::from_millis(500);
const RECOVERY_POLLS: u32 = 30;
const RECOVERIES: u32 = 6;

pub(crate) struct Stream {
    pub(crate) temporary: String,
    /// `None` while it is broken, and in the end.
    writer: Option<FileWriter>,
    block_size: u64,
    /// So many bytes are on disk, whatever happens.
    durable: u64,
    /// So many bytes the writer has taken.
    sent: u64,
    /// What follows on the durable bytes.
    kept: VecDeque<Bytes>,
    /// The file's length, so far.
    length: u64,
}

impl Stream {
    pub(crate) async fn start(cluster: &Cluster, directory: &str) -> Result<Self, Failure> {
        let mut patience = cluster.patience();
        loop {
            let temporary = path::join(directory, &path::temporary_name());
            let create = async |client: Client| {
                let writer = client.create(&temporary, cluster.write_options()).await?;
                let status = client.get_file_info(&temporary).await?;
                Ok((writer, status))
            };
            let failure = match cluster.once(create).await {
                Ok((writer, status)) => {
                    let block_size = status.blocksize.filter(|size| *size > 0);
                    return Ok(Self {
                        writer: Some(writer),
                        block_size: block_size.unwrap_or(u64::MAX),
                        temporary,
                        durable: 0,
                        sent: 0,
                        kept: VecDeque::new(),
                        length: 0,
                    });
                }
                Err(failure) => failure,
            };
            // Another name: that one may be there, and nobody's.
            cluster.delete_later(temporary);
            patience.pause_after(failure).await?;
        }
    }

    /// Adds to the file. After a failure it is never finished.
    pub(crate) async fn send(&mut self, cluster: &Cluster, bytes: Bytes) -> Result<(), Failure> {
        self.length += bytes.len() as u64;
        self.kept.push_back(bytes);
        self.persist(cluster, false).await
    }

    /// Makes the whole file durable and complete, under its temporary name.
    pub(crate) async fn finish(&mut self, cluster: &Cluster) -> Result<(), Failure> {
        self.persist(cluster, true).await
    }

    async fn persist(&mut self, cluster: &Cluster, to_the_end: bool) -> Result<(), Failure> {
        let mut patience = cluster.patience();
        loop {
            let durable = self.durable;
            let failure = match self.go_on(cluster, to_the_end).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            if self.durable > durable {
                patience = cluster.patience();
            }
            patience.pause_after(failure).await?;
        }
    }

    /// Sends what is kept and was not sent, taking a broken stream up again first.
    async fn go_on(&mut self, cluster: &Cluster, to_the_end: bool) -> Result<(), Failure> {
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.take_up(cluster).await?,
        };
        while let Some((bytes, is_border)) = self.next_part() {
            let count = bytes.len() as u64;
            let writer = &mut writer;
            let transfer = async |_: Client| {
                Box::pin(writer.write_bytes(bytes)).await?;
                if is_border { place::sync(writer).await } else { Ok(()) }
            };
            cluster.transfer(transfer).await?;
            self.sent += count;
            if is_border {
                self.is_durable_to(self.sent);
            }
        }
        if to_the_end {
            let close = async |_: Client| place::close(&mut writer).await;
            cluster.transfer(close).await?;
        } else {
            self.writer = Some(writer);
        }
        Ok(())
    }

    /// The next bytes to send, not beyond the border where what was sent is made durable: the end of
    /// a block, since nobody syncs a block that is closed, and before too much is kept.
    fn next_part(&self) -> Option<(Bytes, bool)> {
        let mut skip = self.sent - self.durable;
        let part = self.kept.iter().find_map(|bytes| {
            let length = bytes.len() as u64;
            if skip >= length {
                skip -= length;
                return None;
            }
            Some(bytes.slice(usize::try_from(skip).ok()?..))
        })?;
        let to_block = self.block_size - self.sent % self.block_size;
        let to_border = to_block.min((self.durable + KEPT).saturating_sub(self.sent).max(1));
        let count = usize::try_from(to_border).unwrap_or(usize::MAX).min(part.len());
        Some((part.slice(..count), count as u64 == to_border))
    }

    fn is_durable_to(&mut self, position: u64) {
        while let Some(first) = self.kept.front_mut() {
            let ahead = usize::try_from(position - self.durable).unwrap_or(usize::MAX);
            let count = first.len().min(ahead);
            self.durable += count as u64;
            if count < first.len() {
                *first = first.slice(count..);
                return;
            }
            self.kept.pop_front();
        }
    }

    /// A writer that goes on where the broken one ended.
    async fn take_up(&mut self, cluster: &Cluster) -> Result<FileWriter, Failure> {
        let writer = self.append(cluster).await?;
        let removed = || Failure::new(Kind::Missing, "somebody removed the unfinished file");
        let arrived = cluster.status(&self.temporary).await?.ok_or_else(removed)?.length as u64;
        if arrived < self.durable || arrived > self.length {
            let text = format!(
                "{arrived} bytes have arrived of {} sent and {} durable ones",
                self.length, self.durable
            );
            return Err(Failure::new(Kind::Refused, text));
        }
        self.sent = arrived;
        Ok(writer)
    }

    /// Closes the file by force and opens it again. The DataNodes then agree on the last block, which
    /// takes the longer the more of them are dead.
    async fn append(&self, cluster: &Cluster) -> Result<FileWriter, Failure> {
        let path = &self.temporary;
        for _ in 0..RECOVERIES {
            // Not asked again soon: each time they would begin anew.
            cluster.repeated(async |client: Client| client.recover_lease(path).await).await?;
            for _ in 0..RECOVERY_POLLS {
                let append = async |client: Client| client.append(path).await;
                match cluster.transfer(append).await {
                    Ok(writer) => return Ok(writer),
                    Err(failure) if matches!(failure.kind, Kind::Exists | Kind::Unavailable) => {}
                    Err(failure) => return Err(failure),
                }
                tokio::time::sleep(RECOVERY_PAUSE).await;
            }
        }
        Err(Failure::new(Kind::Refused, "the unfinished file cannot be closed"))
    }
}
