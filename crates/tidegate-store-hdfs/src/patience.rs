//! The pauses between tries.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tidegate_store_remote::{Decision, ErrorClass, RetryPolicy};
use tokio::time::Instant;

use crate::failure::{Failure, Kind};

/// Tries at one piece of work, which end some time after the first, or after the last progress.
#[derive(Debug)]
pub(crate) struct Patience {
    policy: RetryPolicy,
    begun: Instant,
    tries: u32,
}

impl Patience {
    pub(crate) fn new(all: Duration) -> Self {
        let policy = RetryPolicy { deadline: all, ..RetryPolicy::default() };
        Self { policy, begun: Instant::now(), tries: 0 }
    }

    /// Waits a little for what may pass; gives back what will not, or has not for long enough.
    pub(crate) async fn pause_after(&mut self, failure: Failure) -> Result<(), Failure> {
        self.tries += 1;
        // The upper half of 53 bits would do as well; ten are plenty.
        let chance = u16::try_from(RandomState::new().hash_one(()) % 1024).unwrap_or_default();
        let class = failure.class();
        let decision =
            self.policy.decide(self.tries, class, self.begun.elapsed(), f64::from(chance) / 1024.0);
        match decision {
            Decision::RetryAfter(pause) => {
                tokio::time::sleep(pause).await;
                Ok(())
            }
            Decision::GiveUp => Err(failure),
        }
    }
}

impl Failure {
    /// Whether the call may be made again, and whether it may have been carried out.
    pub(crate) fn class(&self) -> ErrorClass {
        match self.kind {
            Kind::Unanswered => ErrorClass::MayHaveHappened,
            Kind::Unavailable | Kind::Transfer => ErrorClass::Retryable,
            _ => ErrorClass::Permanent,
        }
    }
}
