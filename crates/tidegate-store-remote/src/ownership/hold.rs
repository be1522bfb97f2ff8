//! A hold with its sign of life, behind sync calls.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tidegate_store::{OwnerInfo, Ownership, PublishOutcome, StorageError, StoragePath};
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::lease::{Verdict, Watch};
use super::life::{self, Held, Life};
use super::log::{OwnerLog, Standing, Taking, Tenure};
use super::store::OwnershipStore;
use crate::RemoteRuntime;

// How often a living owner may be quicker than who takes the directory over.
const TAKING_ATTEMPTS: u32 = 1000;
// How long a dropped hold tries to say that it was released.
const RELEASING: Duration = Duration::from_secs(10);

/// How long an owner that shows no sign of life is waited for. All who use a directory must have the
/// same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// After this time of silence, measured by who waits, an owner whose process cannot be asked is
    /// dead. He shows a sign of life three times in it.
    pub lease: Duration,
}

impl Default for Lease {
    /// 15 seconds.
    fn default() -> Self {
        Self { lease: Duration::from_secs(15) }
    }
}

/// A directory that is held; dropping it gives it free.
pub struct Hold<S: OwnershipStore> {
    runtime: RemoteRuntime,
    shared: Arc<Shared<S>>,
    beating: JoinHandle<()>,
    superseded: Option<OwnerInfo>,
    _held: Held,
}

struct Shared<S> {
    log: OwnerLog<S>,
    tenure: Mutex<Tenure>,
    published: Notify,
}

/// Takes the directory of the store, which errors name `directory`, unless a living owner has it.
///
/// Of an owner on another machine that shows no life, it waits for the lease to end; he counts as
/// superseded then, since he may have been stopped only.
pub fn own<S: OwnershipStore>(
    runtime: &RemoteRuntime,
    store: S,
    directory: &str,
    owner: &OwnerInfo,
    lease: Lease,
) -> Result<Hold<S>, StorageError> {
    acquire(runtime, store, directory, owner, (lease, false))
}

/// Takes the directory of the store, also from an owner that lives. Does not wait for him.
pub fn take_over<S: OwnershipStore>(
    runtime: &RemoteRuntime,
    store: S,
    directory: &str,
    owner: &OwnerInfo,
    lease: Lease,
) -> Result<Hold<S>, StorageError> {
    acquire(runtime, store, directory, owner, (lease, true))
}

fn acquire<S: OwnershipStore>(
    runtime: &RemoteRuntime,
    store: S,
    directory: &str,
    owner: &OwnerInfo,
    (lease, by_force): (Lease, bool),
) -> Result<Hold<S>, StorageError> {
    let log = OwnerLog::new(Arc::new(store), directory);
    // Held before there is a mark, so that no other thread of this process takes it for a dead one.
    let mark = life::mark(owner);
    let held = Held::new(mark.token);
    let (tenure, superseded) = runtime.wait(async {
        let mut standing = log.standing().await?;
        for _ in 0..TAKING_ATTEMPTS {
            let superseded = may_take(&log, &standing, directory, lease, by_force).await?;
            match log.take(&mark, &standing, first_number()).await? {
                Taking::Taken(tenure) => return Ok((tenure, superseded)),
                Taking::Moved(now) => standing = now,
            }
        }
        Err(owned(directory, standing.owner().cloned().unwrap_or_else(OwnerInfo::unknown)))
    })?;
    let shared = Arc::new(Shared { log, tenure: Mutex::new(tenure), published: Notify::new() });
    let beating = runtime.spawn(beat(Arc::clone(&shared), lease.lease / 3));
    Ok(Hold { runtime: runtime.clone(), shared, beating, superseded, _held: held })
}

/// Whether the standing may be taken, and whom that supersedes; fails when a living owner has it.
async fn may_take<S: OwnershipStore>(
    log: &OwnerLog<S>,
    standing: &Standing,
    directory: &str,
    lease: Lease,
    by_force: bool,
) -> Result<Option<OwnerInfo>, StorageError> {
    let Some(holder) = standing.holder() else { return Ok(None) };
    let owner = holder.owner.clone();
    match life::life_of(holder) {
        Life::Dead => Ok(None),
        Life::Alive | Life::Unknown if by_force => Ok(Some(owner)),
        Life::Alive => Err(owned(directory, owner)),
        Life::Unknown => {
            let begun = Instant::now();
            let watch = Watch::new(standing.sign(), Duration::ZERO, lease.lease);
            loop {
                match watch.see(log.standing().await?.sign(), begun.elapsed()) {
                    Verdict::Wait(time) => sleep(time).await,
                    Verdict::Lives => return Err(owned(directory, owner)),
                    Verdict::Expired => return Ok(Some(owner)),
                }
            }
        }
    }
}

fn owned(directory: &str, owner: OwnerInfo) -> StorageError {
    StorageError::Owned { directory: directory.into(), owner: Box::new(owner) }
}

// Larger than the numbers of a directory that was deleted before, unless it had an entry for every
// millisecond. If a clock was set back since, an owner of that one is told too late that he lost it.
fn first_number() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX / 2)
}

/// Shows signs of life until the hold is lost.
async fn beat<S: OwnershipStore>(shared: Arc<Shared<S>>, interval: Duration) {
    let Shared { log, tenure, published } = &*shared;
    for count in 1.. {
        // Right after a publication too, so that who takes over knows that it is done.
        let _ = timeout(interval, published.notified()).await;
        // Not under the lock: a publication shall not wait for this.
        let seen = tenure.lock().await.clone();
        match log.show_life(&seen, count).await {
            Ok(true) => tenure.lock().await.forget_stale(&seen),
            Ok(false) => return,
            // The store may be back in time.
            Err(_) => {}
        }
    }
}

impl<S: OwnershipStore> Ownership for Hold<S> {
    fn check(&self) -> Result<(), StorageError> {
        self.runtime.wait(async {
            let mut tenure = self.shared.tenure.lock().await;
            self.shared.log.check(&mut tenure).await
        })
    }

    fn publish(&self, path: &StoragePath, bytes: &[u8]) -> Result<PublishOutcome, StorageError> {
        self.runtime.wait(async {
            let mut tenure = self.shared.tenure.lock().await;
            let published = self.shared.log.publish(&mut tenure, path, bytes).await;
            self.shared.published.notify_one();
            published
        })
    }

    fn superseded(&self) -> Option<&OwnerInfo> {
        self.superseded.as_ref()
    }
}

impl<S: OwnershipStore> Drop for Hold<S> {
    fn drop(&mut self) {
        let Self { runtime, shared, beating, .. } = self;
        beating.abort();
        runtime.wait(async {
            // So that no sign of life of ours comes after the end.
            let _ = beating.await;
            // If it does not succeed, the process is known not to hold it, or the lease ends.
            let release = async { shared.log.release(&mut *shared.tenure.lock().await).await };
            let _ = timeout(RELEASING, release).await;
        });
    }
}

impl<S: OwnershipStore> fmt::Debug for Hold<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").field("superseded", &self.superseded).finish_non_exhaustive()
    }
}
