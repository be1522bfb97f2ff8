//! CheckpointStorage: the local file system, memory, and the contract of every store.
