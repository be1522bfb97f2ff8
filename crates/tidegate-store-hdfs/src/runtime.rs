//! The threads that the client's tasks run on, one set for all clusters of the process.
//!
//! The client keeps connections to DataNodes for all its users together, so they must not die with the
//! runtime of one of them.

use std::io;
use std::sync::{Mutex, PoisonError};

use tidegate_store::{Determinacy, Operation, StorageError};
use tokio::runtime::{Builder, Handle, Runtime};

/// Checksums and packets are all that they work on; callers compute on their own threads.
const THREADS: usize = 2;

static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);

/// The runtime, started with the first who asks.
pub(crate) fn handle() -> Result<Handle, StorageError> {
    let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = &*runtime {
        return Ok(runtime.handle().clone());
    }
    let failed = |error: io::Error| {
        let what = "threads of the HDFS client";
        StorageError::from_io(Operation::Create, what, Determinacy::Determinate, error)
    };
    let built = Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("tidegate-hdfs")
        .enable_all()
        .build()
        .map_err(failed)?;
    Ok(runtime.insert(built).handle().clone())
}
