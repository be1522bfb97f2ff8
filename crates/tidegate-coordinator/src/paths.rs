//! Where the files of a job's checkpoints lie: the one place that makes object names.
//!
//! ```text
//! {job}/chk-N/_metadata    what makes checkpoint N complete, beside its exclusive files
//! {job}/shared/            files that several checkpoints may use
//! {job}/taskowned/         files that belong to tasks
//! ```

use tidegate_store::{StorageError, StoragePath};
use tidegate_types::{CheckpointId, JobId};

const PREFIX: &str = "chk-";

/// The paths of one job's checkpoints within a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointPaths {
    // Invariant: leaves room for the longest name below it.
    job: StoragePath,
}

impl CheckpointPaths {
    /// The name of the file that makes a checkpoint complete.
    pub const METADATA: &'static str = "_metadata";

    /// Of a job below the storage's root.
    ///
    /// # Panics
    ///
    /// Never: a job id is a plain name.
    #[must_use]
    pub fn of_job(job: JobId) -> Self {
        let job = StoragePath::new(&job.to_string()).expect("hexadecimal digits are a plain name");
        Self { job }
    }

    /// Of the job whose directory is this one. Fails when the names below it would be too long.
    pub fn of_directory(directory: StoragePath) -> Result<Self, StorageError> {
        directory.join(&format!("{PREFIX}{}/{}", u64::MAX, Self::METADATA))?;
        Ok(Self { job: directory })
    }

    /// The directory of all the job's checkpoints.
    #[must_use]
    pub fn job_directory(&self) -> StoragePath {
        self.job.clone()
    }

    /// The directory of one checkpoint.
    #[must_use]
    pub fn checkpoint(&self, checkpoint: CheckpointId) -> StoragePath {
        self.below(&format!("{PREFIX}{checkpoint}"))
    }

    /// The file that makes the checkpoint complete.
    #[must_use]
    pub fn metadata(&self, checkpoint: CheckpointId) -> StoragePath {
        self.below(&format!("{PREFIX}{checkpoint}/{}", Self::METADATA))
    }

    /// The directory of files that several checkpoints may use.
    #[must_use]
    pub fn shared(&self) -> StoragePath {
        self.below("shared")
    }

    /// The directory of files that belong to tasks.
    #[must_use]
    pub fn task_owned(&self) -> StoragePath {
        self.below("taskowned")
    }

    /// The checkpoint whose directory has this name; `None` for any other name.
    #[must_use]
    pub fn checkpoint_of(directory_name: &str) -> Option<CheckpointId> {
        let digits = directory_name.strip_prefix(PREFIX)?;
        // Only what `checkpoint` makes: no sign, no leading zero, and an id must be left after it.
        let number = digits.parse::<u64>().ok().filter(|number| *number < u64::MAX)?;
        let canonical = number.to_string() == digits;
        CheckpointId::new(number).filter(|_| canonical)
    }

    fn below(&self, path: &str) -> StoragePath {
        self.job.join(path).expect("the directory leaves room for the names below it")
    }
}

/// The name of a savepoint's directory. `random` makes it one of its own.
#[must_use]
pub fn savepoint_name(job: JobId, random: u64) -> String {
    format!("savepoint-{}-{:012x}", &job.to_string()[..6], random >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_name_is_read_as_it_is_written() {
        let paths = CheckpointPaths::of_job(JobId::from_bytes([0xab; 16]));
        let id = CheckpointId::new(42).unwrap();
        let directory = paths.checkpoint(id);
        assert_eq!(directory.as_str(), format!("{}/chk-42", "ab".repeat(16)));
        assert_eq!(CheckpointPaths::checkpoint_of(directory.file_name().unwrap()), Some(id));
        for name in ["chk-", "chk-0", "chk-01", "chk-+1", "chk-18446744073709551615", "xchk-1"] {
            assert_eq!(CheckpointPaths::checkpoint_of(name), None, "{name}");
        }
    }

    #[test]
    fn a_savepoints_name_tells_its_job() {
        let job = JobId::from_bytes([0xab; 16]);
        assert_eq!(savepoint_name(job, 0x0123_4567_89ab_cdef), "savepoint-ababab-0123456789ab");
        assert_eq!(savepoint_name(job, 0), "savepoint-ababab-000000000000");
    }

    #[test]
    fn a_directory_without_room_is_refused() {
        let long = StoragePath::new(&"x".repeat(1020)).unwrap();
        assert!(CheckpointPaths::of_directory(long).is_err());
        assert!(CheckpointPaths::of_directory(StoragePath::root()).is_ok());
    }
}
