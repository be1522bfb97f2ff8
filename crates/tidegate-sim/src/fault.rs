//! What can go wrong with one operation of a storage.

/// A fault of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The power fails before it does anything.
    CrashBefore,
    /// The power fails when it has done everything, and before anybody is told. Of a deletion that
    /// the contract does not call durable, any part may be undone.
    CrashAfter,
    /// The power fails in the middle. An operation that is atomic happens or does not, as the seed
    /// says; of a directory that is being deleted a part is left.
    CrashWithin,
    /// It fails and says so.
    Fail,
    /// It fails, and says that it may have happened.
    FailInDoubt,
    /// It happens, and is reported as failed and in doubt.
    HappenAndFail,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::CrashBefore,
        Self::CrashAfter,
        Self::CrashWithin,
        Self::Fail,
        Self::FailInDoubt,
        Self::HappenAndFail,
    ];

    /// Whether the process dies of it.
    #[must_use]
    pub const fn is_crash(self) -> bool {
        matches!(self, Self::CrashBefore | Self::CrashAfter | Self::CrashWithin)
    }
}
