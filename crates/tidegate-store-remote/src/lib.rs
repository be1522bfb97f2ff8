//! What stores behind a network share: sync calls on one runtime, retries, transfers in bounded
//! memory, and ownership of directories where there are no locks.
//!
//! **It is not** a store, and speaks no server's protocol: an adapter brings the requests, this crate
//! decides when they are made again, how many are under way, and who may publish.
//!
//! ```
//! use std::time::Duration;
//! use tidegate_store_remote::{Decision, ErrorClass, RetryPolicy};
//!
//! let policy = RetryPolicy::default();
//! // The second attempt failed after 300 ms, by a server that asked to slow down.
//! let decision = policy.decide(2, ErrorClass::Retryable, Duration::from_millis(300), 1.0);
//! assert_eq!(decision, Decision::RetryAfter(Duration::from_millis(200)));
//! assert_eq!(policy.decide(2, ErrorClass::Permanent, Duration::ZERO, 1.0), Decision::GiveUp);
//! ```
#![forbid(unsafe_code)]

pub mod ownership;
mod ranges;
mod retry;
mod runtime;
mod upload;

pub use ranges::fill;
pub use retry::{Attempt, Cause, Decision, ErrorClass, GivenUp, RetryPolicy, retry};
pub use runtime::RemoteRuntime;
pub use upload::{NextPart, Part, PartMemory, Parts, UploadWriter};
