//! The threads that the client's tasks run on.
//!
//! The client keeps connections to DataNodes for all its users together, so they must not die with the
//! runtime of one of them: it is the process's own.

use std::io;

use tidegate_store::{Determinacy, Operation, StorageError};
use tidegate_store_remote::RemoteRuntime;
use tokio::runtime::Handle;

/// The runtime that all remote stores share.
pub(crate) fn handle() -> Result<Handle, StorageError> {
    let failed = |error: io::Error| {
        let what = "threads of the HDFS client";
        StorageError::from_io(Operation::Create, what, Determinacy::Determinate, error)
    };
    // The client wants the handle itself.
    let runtime = RemoteRuntime::shared().map_err(failed)?;
    Ok(runtime.wait(async { Handle::current() }))
}
