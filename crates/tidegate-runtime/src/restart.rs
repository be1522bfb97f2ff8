//! When a job that failed starts again: a function of its failures and the time.
//!
//! One machine for both who need it: the job itself, whose tasks fail, and `tidegate run`, whose job
//! programs crash. It has no clock and no source of randomness of its own.

use std::collections::VecDeque;
use std::time::Duration;

use crate::config::{ExponentialDelay, RestartStrategy};

/// What is to be done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartDecision {
    /// Start again after this wait.
    Restart {
        /// How long.
        after: Duration,
    },
    /// Fail: the strategy allows no more.
    GiveUp,
}

/// A [`RestartStrategy`] with what has happened so far.
///
/// ```
/// use std::time::Duration;
/// use tidegate_runtime::config::RestartStrategy;
/// use tidegate_runtime::restart::{RestartBackoff, RestartDecision};
///
/// let delay = Duration::from_secs(1);
/// let strategy = RestartStrategy::FixedDelay { attempts: 1, delay };
/// let mut backoff = RestartBackoff::new(strategy, 0);
/// assert_eq!(backoff.failed(Duration::ZERO), RestartDecision::Restart { after: delay });
/// assert_eq!(backoff.failed(Duration::from_secs(9)), RestartDecision::GiveUp);
/// ```
#[derive(Clone, Debug)]
pub struct RestartBackoff {
    strategy: RestartStrategy,
    restarts: u32,
    // Of the exponential delay: failures since it was last at its beginning, and when the last
    // restart was due.
    streak: u32,
    restarted_at: Option<Duration>,
    // Of the failure rate: the latest failures, oldest first.
    failures: VecDeque<Duration>,
    random: u64,
}

impl RestartBackoff {
    /// Before any failure. The seed decides how waits are varied, where the strategy says so.
    #[must_use]
    pub fn new(strategy: RestartStrategy, seed: u64) -> Self {
        Self {
            strategy,
            restarts: 0,
            streak: 0,
            restarted_at: None,
            failures: VecDeque::new(),
            random: seed,
        }
    }

    /// How many restarts were decided on so far.
    #[must_use]
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// The job has failed, at a time since some fixed start.
    pub fn failed(&mut self, now: Duration) -> RestartDecision {
        let after = match self.strategy {
            RestartStrategy::None => None,
            RestartStrategy::FixedDelay { attempts, delay } => {
                (self.restarts < attempts).then_some(delay)
            }
            RestartStrategy::FailureRate { max_failures, interval, delay } => {
                self.failures.push_back(now);
                while self.failures.front().is_some_and(|at| now.saturating_sub(*at) > interval) {
                    self.failures.pop_front();
                }
                let tolerated = usize::try_from(max_failures).unwrap_or(usize::MAX);
                (self.failures.len() <= tolerated).then_some(delay)
            }
            RestartStrategy::ExponentialDelay(settings) => self.exponential(settings, now),
        };
        let Some(after) = after else { return RestartDecision::GiveUp };
        self.restarts = self.restarts.saturating_add(1);
        self.restarted_at = Some(now.saturating_add(after));
        RestartDecision::Restart { after }
    }

    fn exponential(&mut self, settings: ExponentialDelay, now: Duration) -> Option<Duration> {
        let lived = self.restarted_at.map(|at| now.saturating_sub(at));
        if lived.is_some_and(|lived| lived >= settings.reset_after) {
            self.streak = 0;
        }
        self.streak = self.streak.saturating_add(1);
        if settings.attempts.is_some_and(|attempts| self.streak > attempts) {
            return None;
        }
        let max = settings.max.max(settings.initial);
        let exponent = i32::try_from(self.streak - 1).unwrap_or(i32::MAX);
        // A float that is too large saturates, here as infinity and at the maximum.
        let grown = settings.initial.as_secs_f64() * settings.multiplier.get().powi(exponent);
        let varied = grown.min(max.as_secs_f64()) * (1.0 + settings.jitter.get() * self.chance());
        let wait = Duration::try_from_secs_f64(varied).unwrap_or(max);
        Some(wait.clamp(settings.initial, max))
    }

    /// From -1 to 1.
    fn chance(&mut self) -> f64 {
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bits = u32::try_from((mixed ^ (mixed >> 31)) >> 32).expect("32 bits are left");
        f64::from(bits) / f64::from(u32::MAX) * 2.0 - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Factor;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// Milliseconds to wait after each failure; `None` where it gives up.
    fn waits(strategy: RestartStrategy, failures: &[u64]) -> Vec<Option<u128>> {
        let mut backoff = RestartBackoff::new(strategy, 1);
        let decide = |at: &u64| match backoff.failed(ms(*at)) {
            RestartDecision::Restart { after } => Some(after.as_millis()),
            RestartDecision::GiveUp => None,
        };
        failures.iter().map(decide).collect()
    }

    #[test]
    fn none_never_restarts_and_a_fixed_delay_does_as_often_as_it_says() {
        assert_eq!(waits(RestartStrategy::None, &[5]), [None]);
        let fixed = |attempts| RestartStrategy::FixedDelay { attempts, delay: ms(7) };
        assert_eq!(waits(fixed(0), &[5]), [None]);
        // How far apart the failures are makes no difference.
        assert_eq!(waits(fixed(2), &[5, 6, 9_999_999]), [Some(7), Some(7), None]);
    }

    #[test]
    fn a_failure_rate_forgives_with_time() {
        let strategy =
            RestartStrategy::FailureRate { max_failures: 2, interval: ms(100), delay: ms(3) };
        let some = Some(3);
        assert_eq!(waits(strategy, &[0, 50, 100]), [some, some, None], "the third within 100 ms");
        assert_eq!(waits(strategy, &[0, 50, 101, 151, 160]), [some, some, some, some, None]);
        let one = RestartStrategy::FailureRate { max_failures: 1, interval: ms(10), delay: ms(3) };
        assert_eq!(waits(one, &[0, 20, 40, 50]), [some, some, some, None]);
    }

    #[test]
    fn an_exponential_delay_grows_to_its_maximum_and_starts_anew_after_a_good_time() {
        let settings = ExponentialDelay {
            initial: ms(100),
            max: ms(500),
            multiplier: Factor::from_thousandths(2_000),
            reset_after: ms(10_000),
            jitter: Factor::from_thousandths(0),
            attempts: None,
        };
        let strategy = RestartStrategy::ExponentialDelay(settings);
        let grown = [Some(100), Some(200), Some(400), Some(500), Some(500)];
        assert_eq!(waits(strategy, &[0, 100, 300, 700, 1_200]), grown);
        // The restart was due at 100: at 10,099 it has not run for ten seconds, at 10,100 it has.
        assert_eq!(waits(strategy, &[0, 10_099]), [Some(100), Some(200)]);
        assert_eq!(waits(strategy, &[0, 10_100, 10_200]), [Some(100), Some(100), Some(200)]);
        let limited = ExponentialDelay { attempts: Some(2), ..settings };
        let limited = RestartStrategy::ExponentialDelay(limited);
        assert_eq!(waits(limited, &[0, 200, 500]), [Some(100), Some(200), None]);
        assert_eq!(waits(limited, &[0, 200, 20_000]), [Some(100), Some(200), Some(100)]);
    }

    #[test]
    fn waits_vary_within_bounds_and_the_seed_decides() {
        let settings = ExponentialDelay { max: Duration::MAX, ..ExponentialDelay::default() };
        let strategy = RestartStrategy::ExponentialDelay(settings);
        let mut distinct = std::collections::HashSet::new();
        for seed in 0..200 {
            let mut backoff = RestartBackoff::new(strategy, seed);
            let mut again = backoff.clone();
            assert!(backoff.failed(ms(0)) == again.failed(ms(0)));
            let RestartDecision::Restart { after } = backoff.failed(ms(1)) else { panic!() };
            // One and a half seconds, a tenth more or less.
            assert!((1_350..=1_650).contains(&after.as_millis()), "{after:?}");
            distinct.insert(after);
        }
        assert!(distinct.len() > 100, "{} different waits of 200", distinct.len());
        // However many failures: no overflow, and never above the maximum.
        let mut backoff = RestartBackoff::new(RestartStrategy::ExponentialDelay(settings), 3);
        for failure in 0..5_000 {
            assert_ne!(backoff.failed(ms(failure)), RestartDecision::GiveUp);
        }
    }
}
