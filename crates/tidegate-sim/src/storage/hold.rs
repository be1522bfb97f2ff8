//! The hold on a directory.

use tidegate_store::{Operation, OwnerInfo, Ownership, PublishOutcome, StorageError, StoragePath};

use super::SimStorage;

#[derive(Debug)]
pub(super) struct SimHold {
    storage: SimStorage,
    directory: StoragePath,
    hold: Box<dyn Ownership>,
}

impl SimHold {
    pub(super) fn new(
        storage: SimStorage,
        directory: StoragePath,
        hold: Box<dyn Ownership>,
    ) -> Self {
        Self { storage, directory, hold }
    }
}

impl Ownership for SimHold {
    fn check(&self) -> Result<(), StorageError> {
        self.storage.atomic(Operation::Own, &self.directory, || self.hold.check())
    }

    fn publish(&self, path: &StoragePath, bytes: &[u8]) -> Result<PublishOutcome, StorageError> {
        self.storage.atomic(Operation::Publish, path, || self.hold.publish(path, bytes))
    }

    fn superseded(&self) -> Option<&OwnerInfo> {
        self.hold.superseded()
    }
}
