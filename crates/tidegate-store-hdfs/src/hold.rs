//! Ownership of a directory, and the fence against an owner who does not know yet that he has lost it.
//!
//! `{directory}/.owner/{id}/` is the owner's: the id is new with every hold, and in it lie his mark
//! (`mark-{n}`, who he is) and the files that he is about to publish. What must hold:
//!
//! - **There is one `.owner`.** A new owner prepares `.new-{id}/{id}/` and renames `.new-{id}` to
//!   `.owner`, which the NameNode refuses while there is one. Nobody ever renames or deletes an
//!   `.owner` that is not empty: what is deleted is `.owner/{id}`, of that one owner and no other's,
//!   then `.owner` if it is empty.
//! - **What is published comes out of `.owner/{id}/`**, by a rename. Whoever takes the directory over
//!   deletes that first, so:
//!
//! 1. A writes the metadata under a temporary name in `.owner/{a}/`.
//! 2. A finds that the directory is still his, and is stopped.
//! 3. B deletes `.owner/{a}/`, with the file, and puts up his own `.owner/{b}/`.
//! 4. A goes on, and renames the file: the NameNode knows no such file. Nor can A write a new one, since
//!    a file is created there only in a directory that exists.
//!
//! - **An owner who lives shows it**: he renames his mark every few seconds, to the next number. The
//!   time of that is the NameNode's, the only clock that counts. Safety does not hang on it: whoever
//!   is taken for dead and is not, is fenced like any other.

use std::fmt;
use std::sync::{Arc, mpsc};
use std::thread;

use hdfs_native::Client;
use tidegate_store::{
    Determinacy, Operation, OwnerInfo, Ownership, PublishOutcome, StorageError, StoragePath,
};

use crate::cluster::Cluster;
use crate::failure::{Failure, Kind};
use crate::life::Held;
use crate::path;
use crate::place::{self, Placement};
use crate::taking::{Taken, Taking};

pub(crate) const OWNER: &str = ".owner";
pub(crate) const NEW: &str = ".new-";
const MARK: &str = "mark-";

/// How many signs of life an owner gives in the time after which he is taken for dead.
pub(crate) const BEATS: u32 = 6;
/// How often a directory is listed in which others delete. What is missed is only garbage.
const LISTINGS: u32 = 5;

pub(crate) struct Hold {
    cluster: Arc<Cluster>,
    /// The storage's root, as path and as URI.
    root: (String, String),
    directory: String,
    uri: String,
    /// `{directory}/.owner/{id}`.
    own: String,
    superseded: Option<OwnerInfo>,
    _held: Held,
    /// The thread that beats ends with it.
    beat: Option<mpsc::Sender<()>>,
}

impl Hold {
    /// Takes the directory, from whoever is dead, or from whoever has it.
    pub(crate) async fn take(
        cluster: Arc<Cluster>,
        root: (String, String),
        (directory, uri): (String, String),
        owner: &OwnerInfo,
        from_the_living: bool,
    ) -> Result<Self, StorageError> {
        let id = path::unique();
        let new = path::join(&directory, &format!("{NEW}{id}"));
        let take = Taking { cluster: &cluster, directory: &directory, id: &id, new: &new };
        let failed = |failure: Failure| failure.certainly(Operation::Own, &*uri);
        let ours = Held::new(&id);
        let superseded = match take.run(owner, from_the_living).await {
            Ok(Taken::Ours(superseded)) => superseded,
            Ok(Taken::Owned(owner)) => {
                let _ = cluster.delete(&new, true).await;
                let owner = Box::new(owner);
                return Err(StorageError::Owned { directory: uri.into(), owner });
            }
            Err(failure) => {
                let _ = cluster.delete(&new, true).await;
                return Err(failed(failure));
            }
        };
        let own = format!("{}/{id}", path::join(&directory, OWNER));
        let beat = Some(start_beating(&cluster, &own).map_err(failed)?);
        let hold = Self { cluster, root, directory, uri, own, superseded, _held: ours, beat };
        hold.remove_unfinished()
            .await
            .map_err(|failure| failure.certainly(Operation::Own, &*hold.uri))?;
        Ok(hold)
    }

    /// What earlier owners left, wherever it is below the directory.
    async fn remove_unfinished(&self) -> Result<(), Failure> {
        let mut below = None;
        for _ in 0..LISTINGS {
            // `None` too when a directory below is deleted while it is listed.
            below = self.cluster.list(&self.directory, true).await?;
            if below.is_some() {
                break;
            }
        }
        let own = path::join(&self.directory, OWNER);
        for entry in below.unwrap_or_default() {
            let name = entry.path.rsplit('/').next().unwrap_or_default();
            let is_left = if entry.isdir {
                name.starts_with(NEW)
            } else {
                name.starts_with(path::TEMPORARY) && !entry.path.starts_with(&own)
            };
            if is_left {
                self.cluster.delete(&entry.path, true).await?;
            }
        }
        Ok(())
    }

    async fn is_ours(&self) -> Result<bool, Failure> {
        Ok(self.cluster.status(&self.own).await?.is_some())
    }

    fn lost(&self) -> StorageError {
        StorageError::OwnershipLost { directory: self.uri.as_str().into() }
    }

    /// The failure, or that the directory was lost, if that is why.
    async fn or_lost(&self, failure: Failure, uri: &str, determinacy: Determinacy) -> StorageError {
        match self.is_ours().await {
            Ok(false) if determinacy == Determinacy::Determinate => self.lost(),
            _ => failure.at(Operation::Publish, uri, determinacy),
        }
    }

    async fn publish_at(
        &self,
        target: &str,
        uri: &str,
        bytes: &[u8],
    ) -> Result<PublishOutcome, StorageError> {
        use Determinacy::{Determinate, Indeterminate};
        let temporary = match place::write_temporary(&self.cluster, &self.own, bytes, false).await {
            Ok(temporary) => temporary,
            Err(failure) => return Err(self.or_lost(failure, uri, Determinate).await),
        };
        match place::place(&self.cluster, &temporary, target).await {
            Ok(Placement::Named) => Ok(PublishOutcome::Published),
            Ok(Placement::Exists) => Ok(PublishOutcome::AlreadyExists),
            Ok(Placement::Gone) => Err(self.lost()),
            // As long as the hold lasts, nobody else removes files from its directory.
            Ok(Placement::GoneOrNamed) => match self.is_ours().await {
                Ok(true) => Ok(PublishOutcome::Published),
                Ok(false) => {
                    let text = "the answer was lost, and then the directory was taken over";
                    let failure = Failure::new(Kind::Unanswered, text);
                    Err(failure.at(Operation::Publish, uri, Indeterminate))
                }
                Err(failure) => Err(failure.at(Operation::Publish, uri, Indeterminate)),
            },
            Err(failure) => Err(self.or_lost(failure, uri, Indeterminate).await),
        }
    }
}

impl Ownership for Hold {
    fn check(&self) -> Result<(), StorageError> {
        match self.cluster.runtime().block_on(self.is_ours()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.lost()),
            Err(failure) => Err(failure.certainly(Operation::Own, &*self.uri)),
        }
    }

    fn publish(&self, path: &StoragePath, bytes: &[u8]) -> Result<PublishOutcome, StorageError> {
        let (target, uri) = (format!("{}/{path}", self.root.0), format!("{}/{path}", self.root.1));
        self.cluster.runtime().block_on(self.publish_at(&target, &uri, bytes))
    }

    fn superseded(&self) -> Option<&OwnerInfo> {
        self.superseded.as_ref()
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hold").field(&self.uri).finish()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.beat = None;
        let owner = path::join(&self.directory, OWNER);
        // One try. A mark that stays is that of somebody of whom nothing more is seen.
        self.cluster.runtime().block_on(async {
            let own = async |client: Client| client.delete(&self.own, true).await;
            if self.cluster.once(own).await.is_ok() {
                let _ = self
                    .cluster
                    .once(async |client: Client| client.delete(&owner, false).await)
                    .await;
            }
        });
    }
}

/// Shows that the owner lives, on a thread of its own, until the hold ends.
fn start_beating(cluster: &Arc<Cluster>, own: &str) -> Result<mpsc::Sender<()>, Failure> {
    let (end, ended) = mpsc::channel::<()>();
    let (cluster, own) = (Arc::clone(cluster), own.to_owned());
    let pause = cluster.lease() / BEATS;
    let beat = move || {
        let mut number = 0;
        while ended.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
            match cluster.runtime().block_on(beat(&cluster, &own, number)) {
                Some(next) => number = next,
                None => return,
            }
        }
    };
    let spawned = thread::Builder::new().name("tidegate-owner".to_owned()).spawn(beat);
    spawned.map(|_| end).map_err(|error| Failure::new(Kind::Refused, error.to_string()))
}

/// Gives the mark its next number, which is returned; `None` when there is no mark any more.
async fn beat(cluster: &Cluster, own: &str, number: u64) -> Option<u64> {
    let (from, to) = (mark(own, number), mark(own, number + 1));
    match cluster.once(async |client: Client| client.rename(&from, &to, false).await).await {
        Ok(()) => Some(number + 1),
        // It was done before, and the answer was lost; or the hold has ended.
        Err(failure) if failure.kind == Kind::Missing => match find_mark(cluster, own).await {
            Ok(found) => found.map(|(number, _)| number),
            Err(_) => Some(number),
        },
        Err(_) => Some(number),
    }
}

pub(crate) fn mark(own: &str, number: u64) -> String {
    format!("{own}/{MARK}{number}")
}

/// The number and the path of the mark in somebody's directory.
pub(crate) async fn find_mark(
    cluster: &Cluster,
    own: &str,
) -> Result<Option<(u64, String)>, Failure> {
    let entries = cluster.list(own, false).await?.unwrap_or_default();
    Ok(entries.into_iter().find_map(|entry| {
        let number = entry.path.rsplit('/').next()?.strip_prefix(MARK)?.parse().ok()?;
        Some((number, entry.path))
    }))
}
