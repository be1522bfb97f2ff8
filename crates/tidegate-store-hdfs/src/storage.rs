//! The store of one root directory on a cluster.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use hdfs_native::client::FileStatus;
use tidegate_store::{
    CheckpointStorage, DeleteOutcome, Determinacy, Entry, EntryKind, Operation, OwnerInfo,
    Ownership, PublishOutcome, StateReader, StateWriter, StorageError, StoragePath,
};

use crate::HdfsOptions;
use crate::cluster::Cluster;
use crate::failure::{Failure, Kind};
use crate::hold::Hold;
use crate::path::{self, Root};
use crate::place::{self, Placement};
use crate::reader::HdfsReader;
use crate::runtime;
use crate::writer::HdfsWriter;

/// A directory on an HDFS cluster.
///
/// Calls block the thread that makes them, in bounded time; they must not be made on a thread of an
/// async runtime, but for one that is meant for blocking.
pub struct HdfsStorage {
    uri: String,
    root: String,
    cluster: Arc<Cluster>,
}

impl HdfsStorage {
    /// The storage whose root is `hdfs://host:port/path`, `hdfs://nameservice/path` with a name service
    /// of the site files, or `hdfs:///path` on their `fs.defaultFS`. The root is created with the
    /// first write. Nobody is asked yet, so the cluster need not be up.
    ///
    /// Fails with [`StorageError::InvalidUri`] when the URI and the settings name no cluster.
    pub fn open(uri: &str, options: &HdfsOptions) -> Result<Self, StorageError> {
        let root = Root::parse(uri)?;
        let cluster = Cluster::new(&root.address, options, runtime::handle()?)?;
        Ok(Self::on(root, Arc::new(cluster)))
    }

    pub(crate) fn on(root: Root, cluster: Arc<Cluster>) -> Self {
        Self { uri: root.uri(), root: root.path, cluster }
    }

    fn locate(&self, path: &StoragePath) -> String {
        match (path.is_root(), self.root.is_empty()) {
            (true, true) => "/".to_owned(),
            (true, false) => self.root.clone(),
            (false, _) => format!("{}/{path}", self.root),
        }
    }

    fn shown(&self, path: &StoragePath) -> String {
        if path.is_root() { self.uri.clone() } else { format!("{}/{path}", self.uri) }
    }

    /// Runs it on this thread, the client's own tasks on theirs.
    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.cluster.runtime().block_on(work)
    }

    async fn publish_at(
        &self,
        path: &StoragePath,
        bytes: &[u8],
    ) -> Result<PublishOutcome, StorageError> {
        let (target, uri) = (self.locate(path), self.shown(path));
        // Told at once, and without writing anything, when there is a file already.
        let certainly = |failure: Failure| failure.certainly(Operation::Publish, &*uri);
        let unknown =
            |failure: Failure| failure.at(Operation::Publish, &*uri, Determinacy::Indeterminate);
        if self.cluster.status(&target).await.map_err(certainly)?.is_some() {
            return Ok(PublishOutcome::AlreadyExists);
        }
        let directory = path::parent(&target);
        let write = place::write_temporary(&self.cluster, directory, bytes, true);
        let temporary = write.await.map_err(certainly)?;
        let removed = || Failure::new(Kind::Refused, "somebody removed the unfinished file");
        match place::place(&self.cluster, &temporary, &target).await.map_err(unknown)? {
            Placement::Named => Ok(PublishOutcome::Published),
            Placement::Exists => Ok(PublishOutcome::AlreadyExists),
            Placement::Gone => Err(certainly(removed())),
            Placement::GoneOrNamed => {
                let lost = || unknown(Failure::new(Kind::Unanswered, "the answer was lost"));
                let found = HdfsReader::open(Arc::clone(&self.cluster), target, uri.clone()).await;
                let found = match found {
                    Err(StorageError::Missing { .. }) => return Err(certainly(removed())),
                    found => found.map_err(|_| lost())?,
                };
                let is_ours = found.holds(bytes).await.map_err(|_| lost())?;
                Ok(if is_ours { PublishOutcome::Published } else { PublishOutcome::AlreadyExists })
            }
        }
    }

    async fn list_at(&self, directory: &StoragePath) -> Result<Vec<Entry>, StorageError> {
        let (location, uri) = (self.locate(directory), self.shown(directory));
        let failed = |failure: Failure| failure.certainly(Operation::List, &*uri);
        let children = self.cluster.list(&location, false).await.map_err(failed)?;
        let children = children.unwrap_or_default();
        if children.iter().any(|child| child.path == location) {
            return Err(failed(Failure::new(Kind::WrongSort, "it is a file, no directory")));
        }
        let mut entries: Vec<Entry> = children
            .into_iter()
            // What has no storage path (hidden names among them) cannot be this storage's.
            .filter_map(|child| {
                let name = child.path.rsplit('/').next()?.to_owned();
                directory.join(&name).ok()?;
                Some(Entry {
                    name,
                    kind: sort(&child),
                    modified_at_ms: Some(child.modification_time),
                })
            })
            .collect();
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Deletes a file, or a directory with everything in it: one entry in the NameNode's journal
    /// either way, so that no crash leaves a part.
    async fn delete_at(
        &self,
        path: &StoragePath,
        is_directory: bool,
    ) -> Result<DeleteOutcome, StorageError> {
        let (location, uri) = (self.locate(path), self.shown(path));
        let certainly = |failure: Failure| failure.certainly(Operation::Delete, &*uri);
        match self.cluster.status(&location).await.map_err(certainly)? {
            None => return Ok(DeleteOutcome::Absent),
            Some(status) if status.isdir != is_directory => {
                let found = if status.isdir { "it is a directory" } else { "it is a file" };
                return Err(certainly(Failure::new(Kind::WrongSort, found)));
            }
            Some(_) => {}
        }
        match self.cluster.delete(&location, is_directory).await {
            // If not by us, then by somebody else just now.
            Ok(_) => Ok(DeleteOutcome::Deleted),
            Err(failure) => Err(failure.at(Operation::Delete, &*uri, Determinacy::Indeterminate)),
        }
    }

    fn hold(
        &self,
        directory: &StoragePath,
        owner: &OwnerInfo,
        from_the_living: bool,
    ) -> Result<Box<dyn Ownership>, StorageError> {
        let (location, uri) = (self.locate(directory), self.shown(directory));
        let root = (self.root.clone(), self.uri.clone());
        let cluster = Arc::clone(&self.cluster);
        let hold = self.wait(Hold::take(cluster, root, (location, uri), owner, from_the_living));
        Ok(Box::new(hold?))
    }
}

impl CheckpointStorage for HdfsStorage {
    fn uri(&self) -> &str {
        &self.uri
    }

    fn create(&self, path: &StoragePath) -> Result<Box<dyn StateWriter>, StorageError> {
        let (target, uri) = (self.locate(path), self.shown(path));
        // Told now rather than after gigabytes were written; `finish` is what makes it certain.
        match self.wait(self.cluster.status(&target)) {
            Ok(None) => {}
            Ok(Some(_)) => return Err(StorageError::AlreadyExists { path: uri.into() }),
            Err(failure) => return Err(failure.certainly(Operation::Create, uri)),
        }
        Ok(Box::new(HdfsWriter::new(Arc::clone(&self.cluster), target, uri)))
    }

    fn open(&self, path: &StoragePath) -> Result<Box<dyn StateReader>, StorageError> {
        let (location, uri) = (self.locate(path), self.shown(path));
        let reader = self.wait(HdfsReader::open(Arc::clone(&self.cluster), location, uri))?;
        Ok(Box::new(reader))
    }

    fn publish(&self, path: &StoragePath, bytes: &[u8]) -> Result<PublishOutcome, StorageError> {
        self.wait(self.publish_at(path, bytes))
    }

    fn list(&self, directory: &StoragePath) -> Result<Vec<Entry>, StorageError> {
        self.wait(self.list_at(directory))
    }

    fn delete(&self, path: &StoragePath) -> Result<DeleteOutcome, StorageError> {
        self.wait(self.delete_at(path, false))
    }

    fn delete_directory(&self, directory: &StoragePath) -> Result<DeleteOutcome, StorageError> {
        self.wait(self.delete_at(directory, true))
    }

    fn local_path(&self, _path: &StoragePath) -> Option<PathBuf> {
        None
    }

    fn own(
        &self,
        directory: &StoragePath,
        owner: &OwnerInfo,
    ) -> Result<Box<dyn Ownership>, StorageError> {
        self.hold(directory, owner, false)
    }

    fn take_over(
        &self,
        directory: &StoragePath,
        owner: &OwnerInfo,
    ) -> Result<Box<dyn Ownership>, StorageError> {
        self.hold(directory, owner, true)
    }
}

impl fmt::Debug for HdfsStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HdfsStorage").field(&self.uri).finish()
    }
}

fn sort(status: &FileStatus) -> EntryKind {
    match status.isdir {
        true => EntryKind::Directory,
        false => EntryKind::File { length: status.length as u64 },
    }
}
