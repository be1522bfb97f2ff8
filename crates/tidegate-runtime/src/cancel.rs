//! Cancellation of an attempt: wakes every task, also one that waits for room in a channel.

use crossbeam::channel::{Receiver, Select, Sender, bounded};
use tidegate_state::CancelToken;

use crate::error::TaskError;

/// Tells the tasks of one attempt that it is over. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Cancel {
    token: CancelToken,
    // Never carries a message: it is closed by dropping the sender, which wakes all receivers.
    closed: Receiver<()>,
}

/// The right to cancel; dropping it cancels too, so that no task outlives its attempt.
#[derive(Debug)]
pub(crate) struct CancelSource {
    token: CancelToken,
    open: Option<Sender<()>>,
}

impl CancelSource {
    pub(crate) fn new() -> (Self, Cancel) {
        let (open, closed) = bounded(0);
        let token = CancelToken::new();
        (Self { token: token.clone(), open: Some(open) }, Cancel { token, closed })
    }

    pub(crate) fn cancel(&mut self) {
        self.token.cancel();
        self.open = None;
    }
}

impl Drop for CancelSource {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl Cancel {
    pub(crate) fn check(&self) -> Result<(), TaskError> {
        if self.token.is_cancelled() { Err(TaskError::Cancelled) } else { Ok(()) }
    }

    /// What a snapshot job looks at.
    pub(crate) fn token(&self) -> &CancelToken {
        &self.token
    }

    /// Waits until the channel has a message, or for cancellation.
    pub(crate) fn wait_for<M>(&self, channel: &Receiver<M>) -> Result<(), TaskError> {
        let mut select = Select::new();
        select.recv(channel);
        select.recv(&self.closed);
        select.ready();
        self.check()
    }
}
