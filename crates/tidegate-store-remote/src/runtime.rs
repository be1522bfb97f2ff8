//! One runtime behind the sync calls of remote stores.

use std::fmt;
use std::future::Future;
use std::io;
use std::panic;
use std::thread;

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

// Transfers wait for the network; what they compute is checksums and encryption.
const THREADS: usize = 2;

static SHARED: Mutex<Option<Runtime>> = Mutex::new(None);

/// A tokio runtime, whose futures sync callers wait for. Clones are the same runtime.
#[derive(Clone)]
pub struct RemoteRuntime {
    handle: Handle,
}

impl RemoteRuntime {
    /// The process's own: two threads, started with the first call, which end with the process.
    ///
    /// Fails when the threads cannot be started.
    pub fn shared() -> io::Result<Self> {
        let mut shared = SHARED.lock();
        if let Some(runtime) = &*shared {
            return Ok(Self::on(runtime.handle().clone()));
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("tidegate-remote")
            .enable_all()
            .build()?;
        Ok(Self::on(shared.insert(runtime).handle().clone()))
    }

    /// Somebody else's, which must be multi-threaded with I/O and time enabled, and outlive its users.
    #[must_use]
    pub fn on(handle: Handle) -> Self {
        Self { handle }
    }

    /// Waits on this thread for what the future gives. On a thread of an async runtime, where tokio
    /// forbids that, another thread waits, and this one for it.
    ///
    /// # Panics
    ///
    /// When the future does.
    pub fn wait<F>(&self, future: F) -> F::Output
    where
        F: Future + Send,
        F::Output: Send,
    {
        if Handle::try_current().is_err() {
            return self.handle.block_on(future);
        }
        thread::scope(|scope| {
            let waiting = scope.spawn(|| self.handle.block_on(future));
            waiting.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
        })
    }

    /// Runs a future in the background.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(future)
    }
}

impl fmt::Debug for RemoteRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RemoteRuntime")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_thread_can_wait_one_of_the_runtime_too() {
        let runtime = RemoteRuntime::shared().unwrap();
        let inner = runtime.clone();
        assert_eq!(runtime.wait(async { 1 }), 1);
        assert_eq!(runtime.wait(async move { inner.wait(async { 2 }) }), 2);
        let (a, b) = (RemoteRuntime::shared().unwrap(), RemoteRuntime::shared().unwrap());
        assert_eq!(a.handle.id(), b.handle.id());
    }
}
