//! A file gets its name: written under another one, durable, renamed without overwriting.
//!
//! The rename is one call to the NameNode, which does it whole or not at all and never over a file.
//! Its answer may be lost, though, or come too late, and then the file has its name, or gets it yet.
//! The temporary name, which nobody else ever has, decides: while it is there the rename has not been
//! carried out and may be asked for again; once it has been deleted, it never will be; and when it
//! is gone by itself, the file has its new name, or somebody removed it.

use bytes::Bytes;
use hdfs_native::Client;
use hdfs_native::file::FileWriter;

use crate::cluster::Cluster;
use crate::failure::{Failure, Kind};
use crate::path;

/// How often the directory that somebody else deletes is made again.
const DIRECTORY_TRIES: u32 = 5;

/// What became of a file under a temporary name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// It has its name.
    Named,
    /// Another file has that name; the temporary one is deleted.
    Exists,
    /// Somebody deleted it, and it never got its name.
    Gone,
    /// It is not under its temporary name any more. Either it has its name, or somebody deleted it.
    GoneOrNamed,
}

/// Gives the file its name. A failure leaves it open whether it has, or will have.
pub(crate) async fn place(
    cluster: &Cluster,
    temporary: &str,
    target: &str,
) -> Result<Placement, Failure> {
    let mut patience = cluster.patience();
    let (mut in_doubt, mut directory_tries) = (false, 0);
    let gone = |in_doubt| if in_doubt { Placement::GoneOrNamed } else { Placement::Gone };
    loop {
        let rename = async |client: Client| client.rename(temporary, target, false).await;
        let failure = match cluster.once(rename).await {
            Ok(()) => return Ok(Placement::Named),
            Err(failure) => failure,
        };
        match failure.kind {
            Kind::Exists => {
                // Perhaps it is this very file, from a try whose answer was lost.
                let delete = async |client: Client| client.delete(temporary, false).await;
                let (was_there, _) = cluster.repeated(delete).await?;
                let is_another = was_there || !in_doubt;
                return Ok(if is_another { Placement::Exists } else { Placement::GoneOrNamed });
            }
            Kind::Missing if cluster.status(temporary).await?.is_none() => {
                return Ok(gone(in_doubt));
            }
            // It is the directory that is missing.
            Kind::Missing if directory_tries < DIRECTORY_TRIES => {
                directory_tries += 1;
                cluster.make_directory(path::parent(target)).await?;
            }
            kind => {
                in_doubt |= kind == Kind::Unanswered;
                patience.pause_after(failure).await?;
            }
        }
    }
}

/// A whole small file under a new temporary name in `directory`, which is made unless it must be there.
///
/// What does not get through is written anew, each time with one replica less, down to one: the
/// client cannot tell the NameNode which DataNodes it found dead, and the fewer are needed the
/// likelier none of them is among them. The NameNode makes up for it once the file is there.
pub(crate) async fn write_temporary(
    cluster: &Cluster,
    directory: &str,
    bytes: &[u8],
    make_directory: bool,
) -> Result<String, Failure> {
    let mut patience = cluster.patience();
    let bytes = Bytes::copy_from_slice(bytes);
    let mut replicas = Replicas::default();
    loop {
        let temporary = path::join(directory, &path::temporary_name());
        let mut options = cluster.write_options().create_parent(make_directory);
        options.replication = replicas.lowered.or(options.replication);
        let write = async |client: Client| {
            let mut writer = client.create(&temporary, options).await?;
            if !bytes.is_empty() {
                Box::pin(writer.write_bytes(bytes.clone())).await?;
            }
            close(&mut writer).await
        };
        match cluster.transfer(write).await {
            Ok(()) => {
                replicas.restore(cluster, &temporary).await;
                return Ok(temporary);
            }
            Err(failure) => {
                if failure.is_transient() {
                    replicas.lower(cluster, &temporary).await;
                }
                cluster.delete_later(temporary);
                patience.pause_after(failure).await?;
            }
        }
    }
}

/// With how many replicas a file is written anew.
#[derive(Default)]
struct Replicas {
    /// As the cluster or its settings have it; not known before the first failure.
    wanted: Option<u32>,
    lowered: Option<u32>,
}

impl Replicas {
    /// One less than the file at `path` was begun with, if that got so far.
    async fn lower(&mut self, cluster: &Cluster, path: &str) {
        if self.wanted.is_none()
            && let Ok(Some(status)) = cluster.status(path).await
        {
            // A file that is erasure-coded has none.
            self.wanted = status.replication.filter(|replicas| *replicas > 1);
            self.lowered = self.wanted;
        }
        self.lowered = self.lowered.map(|replicas| replicas.saturating_sub(1).max(1));
    }

    async fn restore(&self, cluster: &Cluster, path: &str) {
        if let (Some(wanted), true) = (self.wanted, self.lowered < self.wanted) {
            let set = async |client: Client| client.set_replication(path, wanted).await;
            // It is whole as it is; more replicas are for later failures.
            let _ = cluster.repeated(set).await;
        }
    }
}

/// Makes all bytes durable on the DataNodes, then the file complete at the NameNode.
pub(crate) async fn close(writer: &mut FileWriter) -> hdfs_native::Result<()> {
    sync(writer).await?;
    Box::pin(writer.close()).await
}

/// Has the DataNodes write what they have of the current block to their disks. They do not do so by
/// themselves when a block or file is closed.
pub(crate) async fn sync(writer: &mut FileWriter) -> hdfs_native::Result<()> {
    match Box::pin(writer.hsync()).await {
        // Files in erasure-coded directories cannot; they are spread over more nodes instead.
        Err(hdfs_native::HdfsError::OperationFailed(text)) if text.contains("erasure-coded") => {
            Ok(())
        }
        result => result,
    }
}
