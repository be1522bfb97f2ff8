//! The names of output files. What is hidden is not committed.

use std::fmt;

use tidegate_types::{AttemptId, CheckpointId, Subtask};

pub(super) const OWNER: &str = ".tidegate-owner";
const COMMITTED: &str = "part-";
const PENDING: &str = ".pending-";
const IN_PROGRESS: &str = ".part-";
const TAKEN_BACK: &str = ".taken-back-";

/// Which file of prepared output: unique over subtasks, checkpoints, attempts and rescaling, because no
/// two subtasks of one attempt have the same index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct OutputName {
    pub(super) subtask: u16,
    pub(super) checkpoint: CheckpointId,
    pub(super) attempt: AttemptId,
}

impl OutputName {
    pub(super) fn committed(self) -> String {
        format!("{COMMITTED}{self}")
    }

    pub(super) fn pending(self) -> String {
        format!("{PENDING}{self}")
    }

    /// `None` when it is not the name of a committed file.
    pub(super) fn parse_committed(name: &str) -> Option<Self> {
        let mut numbers = name.strip_prefix(COMMITTED)?.splitn(3, '-');
        let parsed = Self {
            subtask: numbers.next()?.parse().ok()?,
            checkpoint: CheckpointId::new(numbers.next()?.parse().ok()?)?,
            attempt: AttemptId::new(numbers.next()?.parse().ok()?),
        };
        // What we do not write so ourselves (`part-+1-…`) is somebody else's.
        (parsed.committed() == name).then_some(parsed)
    }
}

impl fmt::Display for OutputName {
    // Padded, so that names sort by subtask and time.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:06}-{}", self.subtask, self.checkpoint.get(), self.attempt)
    }
}

/// The file that a subtask writes to; `number` tells those of one writer apart.
pub(super) fn in_progress(subtask: Subtask, attempt: AttemptId, number: u64) -> String {
    format!("{IN_PROGRESS}{:04}-{attempt}-{number}", subtask.index())
}

/// Where committed output goes that is taken back, for the `number`th time.
pub(super) fn taken_back(name: OutputName, number: u32) -> String {
    format!("{TAKEN_BACK}{number}-{}", name.committed())
}

/// Whether the file holds output that is not committed.
pub(super) fn is_uncommitted(name: &str) -> bool {
    name.starts_with(IN_PROGRESS) || name.starts_with(PENDING)
}

/// Whether readers ignore it.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with('.')
}

#[test]
fn names_read_back_and_only_as_we_write_them() {
    for (subtask, checkpoint, attempt) in [(0, 1, 0), (12, 345, 6), (u16::MAX, u64::MAX, u64::MAX)]
    {
        let checkpoint = CheckpointId::new(checkpoint).unwrap();
        let name = OutputName { subtask, checkpoint, attempt: AttemptId::new(attempt) };
        assert_eq!(OutputName::parse_committed(&name.committed()), Some(name));
        assert!(is_uncommitted(&name.pending()) && !is_hidden(&name.committed()));
        assert!(is_hidden(&taken_back(name, 1)) && !is_uncommitted(&taken_back(name, 1)));
    }
    for name in ["part-0-1-0", "part-0000-000000-1", "part-0000-000001", "part-0000-000001-+1"] {
        assert_eq!(OutputName::parse_committed(name), None, "{name}");
    }
    for name in ["part-0000-000001-1-2", "part-0000-000001-1/x", "x", ".pending-0000-000001-1"] {
        assert_eq!(OutputName::parse_committed(name), None, "{name}");
    }
}
