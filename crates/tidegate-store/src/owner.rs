//! Who owns a directory, and the text in which stores keep it.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::{PublishOutcome, StorageError, StoragePath};

/// The hold on a directory, taken by [`CheckpointStorage::own`](crate::CheckpointStorage::own) or
/// [`CheckpointStorage::take_over`](crate::CheckpointStorage::take_over). Dropping it gives the
/// directory free.
pub trait Ownership: Send + Sync + fmt::Debug {
    /// Fails with [`StorageError::OwnershipLost`] when the hold has ended. It may end right after
    /// the answer, so this is no protection, but spares a superseded owner vain work.
    fn check(&self) -> Result<(), StorageError>;

    /// Publishes below the directory, like
    /// [`CheckpointStorage::publish`](crate::CheckpointStorage::publish), while the hold lasts.
    ///
    /// This is the fence: once [`take_over`](crate::CheckpointStorage::take_over) has returned to
    /// somebody else, nothing that the former owner publishes appears any more, however long his
    /// thread was stopped, and between which two steps. It then fails with
    /// [`StorageError::OwnershipLost`].
    fn publish(&self, path: &StoragePath, bytes: &[u8]) -> Result<PublishOutcome, StorageError>;

    /// The owner from whom the directory was taken over, if it was: he may not know it yet, and may
    /// still write and delete files that only checkpoints of his own use.
    fn superseded(&self) -> Option<&OwnerInfo>;
}

/// Who owns a directory, for people to find the process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OwnerInfo {
    /// The machine's name.
    pub host: String,
    /// The process on that machine.
    pub process_id: u32,
    /// The name of the job.
    pub job_name: String,
    /// The attempt of the job.
    pub attempt: u64,
    /// When the owner started: milliseconds since the Unix epoch.
    pub started_at_ms: u64,
}

impl OwnerInfo {
    /// This process, now.
    #[must_use]
    pub fn current(job_name: &str, attempt: u64) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            host,
            process_id: std::process::id(),
            job_name: job_name.to_owned(),
            attempt,
            started_at_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// The text in which stores keep it: five lines, each ended by a line feed.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!(
            "host: {}\nprocess: {}\njob: {}\nattempt: {}\nstarted: {}\n",
            one_line(&self.host),
            self.process_id,
            one_line(&self.job_name),
            self.attempt,
            self.started_at_ms
        )
    }

    /// The owner of this text. `None` for a text that is not whole, as that of an owner who is just
    /// writing it.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(": ");
        Some(Self {
            host: field("host")?.to_owned(),
            process_id: field("process")?.parse().ok()?,
            job_name: field("job")?.to_owned(),
            attempt: field("attempt")?.parse().ok()?,
            started_at_ms: field("started")?.parse().ok()?,
        })
    }

    /// Stands for an owner who certainly is, but whose text could not be read.
    #[must_use]
    pub fn unknown() -> Self {
        Self {
            host: "unknown".to_owned(),
            process_id: 0,
            job_name: "unknown".to_owned(),
            attempt: 0,
            started_at_ms: 0,
        }
    }
}

impl fmt::Display for OwnerInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "job {:?} (attempt {}) of process {} on host {}",
            self.job_name, self.attempt, self.process_id, self.host
        )
    }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[test]
fn the_text_reads_back_and_no_part_of_it_does() {
    let owner = OwnerInfo { job_name: "a: b c".into(), ..OwnerInfo::current("", 3) };
    let text = owner.to_text();
    assert_eq!(OwnerInfo::from_text(&text), Some(owner));
    for end in 0..text.len() {
        assert_eq!(OwnerInfo::from_text(&text[..end]), None, "{:?}", &text[..end]);
    }
}
