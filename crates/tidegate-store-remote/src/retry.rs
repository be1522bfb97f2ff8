//! When a request that failed is made again.
//!
//! The decision is a function of numbers ([`RetryPolicy::decide`]); [`retry`] carries it out. What
//! must hold: an attempt whose outcome is unknown is remembered until the end, so that nobody takes
//! the answer to a later one ("it exists already") for the answer to all.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// What a failure says of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// It did not happen, and may succeed when made again: the server was busy or not reached.
    Retryable,
    /// It may have happened, and may succeed when made again: the answer is missing, or says that
    /// the server failed in the middle.
    MayHaveHappened,
    /// It did not happen, and would not the next time.
    Permanent,
}

/// How long and how often a request is made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The longest pause after the first attempt; it doubles with each further one.
    pub first_pause: Duration,
    /// What no pause exceeds.
    pub longest_pause: Duration,
    /// The time of all attempts and pauses together.
    pub deadline: Duration,
    /// The time of one attempt, after which its outcome is unknown.
    pub attempt_timeout: Duration,
}

impl Default for RetryPolicy {
    /// Pauses from 0.1 s to 5 s, 20 s for an attempt, two minutes for all.
    fn default() -> Self {
        Self {
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
            deadline: Duration::from_secs(120),
            attempt_timeout: Duration::from_secs(20),
        }
    }
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Make the request again after this time.
    RetryAfter(Duration),
    /// Report the failure.
    GiveUp,
}

impl RetryPolicy {
    /// What to do when the attempt with this number (the first is 1) failed `elapsed` after the first
    /// began. `random` is in 0..=1; the pause is between half and all of its length by it, so that
    /// those who failed together do not come again together.
    #[must_use]
    pub fn decide(
        &self,
        attempt: u32,
        class: ErrorClass,
        elapsed: Duration,
        random: f64,
    ) -> Decision {
        if class == ErrorClass::Permanent {
            return Decision::GiveUp;
        }
        let doublings = attempt.saturating_sub(1).min(31);
        let longest = self.first_pause.saturating_mul(1 << doublings).min(self.longest_pause);
        let pause = longest.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0));
        match elapsed.checked_add(pause) {
            Some(begins) if begins < self.deadline => Decision::RetryAfter(pause),
            _ => Decision::GiveUp,
        }
    }
}

/// One of several attempts at a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its number; the first is 1.
    pub number: u32,
    /// Whether the outcome of an earlier one is unknown.
    pub may_have_happened: bool,
}

/// Why a request failed for good.
#[derive(Debug)]
pub struct GivenUp<E> {
    /// What the last attempt ended with.
    pub cause: Cause<E>,
    /// How many attempts there were.
    pub attempts: u32,
    /// Whether any of them may have happened.
    pub may_have_happened: bool,
}

/// What an attempt ended with.
#[derive(Debug)]
pub enum Cause<E> {
    /// An error.
    Error(E),
    /// Nothing, within its time.
    TimedOut,
}

/// Makes attempts until one succeeds or the policy gives up.
pub async fn retry<T, E, F, Fut>(
    policy: &RetryPolicy,
    classify: impl Fn(&E) -> ErrorClass,
    mut operation: F,
) -> Result<T, GivenUp<E>>
where
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let begun = Instant::now();
    let mut attempt = Attempt { number: 1, may_have_happened: false };
    loop {
        let limit = policy.attempt_timeout.min(policy.deadline.saturating_sub(begun.elapsed()));
        let (cause, class) = match timeout(limit, operation(attempt)).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => {
                let class = classify(&error);
                (Cause::Error(error), class)
            }
            Err(_) => (Cause::TimedOut, ErrorClass::MayHaveHappened),
        };
        attempt.may_have_happened |= class == ErrorClass::MayHaveHappened;
        match policy.decide(attempt.number, class, begun.elapsed(), random()) {
            Decision::RetryAfter(pause) => sleep(pause).await,
            Decision::GiveUp => {
                let Attempt { number: attempts, may_have_happened } = attempt;
                return Err(GivenUp { cause, attempts, may_have_happened });
            }
        }
        attempt.number += 1;
    }
}

// Chance enough to spread requests: every `RandomState` has keys of its own.
fn random() -> f64 {
    f64::from(u32::try_from(RandomState::new().hash_one(()) >> 32).unwrap_or(0))
        / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        first_pause: Duration::from_millis(100),
        longest_pause: Duration::from_millis(400),
        deadline: Duration::from_secs(2),
        attempt_timeout: Duration::from_secs(1),
    };

    #[test]
    fn pauses_double_to_a_limit_and_stay_within_the_deadline() {
        let pause = |attempt, elapsed_ms, random| {
            let elapsed = Duration::from_millis(elapsed_ms);
            match POLICY.decide(attempt, ErrorClass::MayHaveHappened, elapsed, random) {
                Decision::RetryAfter(pause) => Some(pause.as_millis()),
                Decision::GiveUp => None,
            }
        };
        assert_eq!([1, 2, 3, 4, 99].map(|n| pause(n, 0, 1.0)), [100, 200, 400, 400, 400].map(Some));
        assert_eq!([0.0, 0.5, 1.0, 7.0].map(|r| pause(2, 0, r)), [100, 150, 200, 200].map(Some));
        assert_eq!(pause(3, 1_599, 1.0), Some(400));
        assert_eq!(pause(3, 1_600, 1.0), None);
        assert_eq!(pause(u32::MAX, u64::MAX, 1.0), None);
    }

    #[tokio::test(start_paused = true)]
    async fn doubt_lasts_until_the_end() {
        let classify = |error: &&str| match *error {
            "busy" => ErrorClass::Retryable,
            "cut" => ErrorClass::MayHaveHappened,
            _ => ErrorClass::Permanent,
        };
        let mut answers = vec!["no", "busy", "cut", "busy"];
        let mut seen = Vec::new();
        let given_up = retry(&POLICY, classify, |attempt| {
            seen.push((attempt.number, attempt.may_have_happened));
            let answer = answers.pop().unwrap();
            async move { Err::<(), _>(answer) }
        });
        let given_up = given_up.await.unwrap_err();
        assert!(matches!(given_up.cause, Cause::Error("no")) && given_up.may_have_happened);
        assert_eq!(seen, [(1, false), (2, false), (3, true), (4, true)]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_hangs_ends_and_so_do_all() {
        let begun = Instant::now();
        let hung = retry(&POLICY, |(): &()| ErrorClass::Permanent, |_| {
            std::future::pending::<Result<(), ()>>()
        });
        let given_up = hung.await.unwrap_err();
        assert!(matches!(given_up.cause, Cause::TimedOut) && given_up.may_have_happened);
        assert_eq!(given_up.attempts, 2);
        assert!(begun.elapsed() <= POLICY.deadline, "{:?}", begun.elapsed());
    }
}
