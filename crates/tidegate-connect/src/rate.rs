//! How many records may pass by now.

use std::num::NonZeroU64;
use std::time::Duration;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Limits a flow to a number of records per second; the caller tells the time.
///
/// Credit for records grows with time, and at most a hundredth of a second's worth and one record
/// is saved up, so that a reader that was held up does not burst afterwards.
#[derive(Clone, Debug)]
pub struct RateLimiter {
    per_second: u128,
    // In billionths of a record, so that no fraction is ever lost.
    credit: u128,
    burst: u128,
    last: Duration,
}

impl RateLimiter {
    /// So many records per second. Time is counted from any fixed instant, such as the start.
    #[must_use]
    pub fn new(per_second: NonZeroU64) -> Self {
        let per_second = u128::from(per_second.get());
        // The one record on top keeps the fraction of the next one, which must not get lost.
        let burst = per_second * (NANOS_PER_SECOND / 100) + NANOS_PER_SECOND;
        Self { per_second, credit: 0, burst, last: Duration::ZERO }
    }

    /// How many of `wanted` records may pass at `now`. They count as passed; what is not used is
    /// given back by [`give_back`](Self::give_back). A `now` before an earlier one counts as that.
    pub fn take(&mut self, wanted: usize, now: Duration) -> usize {
        self.advance(now);
        let allowed = usize::try_from(self.credit / NANOS_PER_SECOND).unwrap_or(usize::MAX);
        let taken = wanted.min(allowed);
        self.credit -= taken as u128 * NANOS_PER_SECOND;
        taken
    }

    /// Returns records that [`take`](Self::take) allowed and that did not pass.
    pub fn give_back(&mut self, records: usize) {
        self.credit = (self.credit + records as u128 * NANOS_PER_SECOND).min(self.burst);
    }

    /// How long after `now` the next record may pass; zero when one may already, a second at most.
    #[must_use]
    pub fn wait(&mut self, now: Duration) -> Duration {
        self.advance(now);
        let missing = NANOS_PER_SECOND.saturating_sub(self.credit);
        let nanos = missing.div_ceil(self.per_second);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn advance(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.last);
        self.last += elapsed;
        let earned = elapsed.as_nanos().saturating_mul(self.per_second);
        self.credit = self.credit.saturating_add(earned).min(self.burst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(per_second: u64) -> RateLimiter {
        RateLimiter::new(NonZeroU64::new(per_second).unwrap())
    }

    #[test]
    fn over_time_exactly_the_rate_passes() {
        for rate in [1, 3, 7, 999, 1_000_003] {
            let mut limiter = limiter(rate);
            let mut passed = 0;
            // A step that divides nothing: fractions must add up, not get lost.
            let mut now = Duration::ZERO;
            while now < Duration::from_secs(10) {
                now += Duration::from_nanos(7_654_321)
                    .min(Duration::from_secs(10).saturating_sub(now));
                passed += limiter.take(usize::MAX, now) as u64;
            }
            assert_eq!(passed, rate * 10, "rate {rate}");
        }
    }

    #[test]
    fn waiting_as_long_as_told_is_just_enough() {
        let mut limiter = limiter(300);
        let mut now = Duration::ZERO;
        for _ in 0..1000 {
            let wait = limiter.wait(now);
            if let Some(early) = wait.checked_sub(Duration::from_nanos(1)) {
                assert_eq!(limiter.take(1, now + early), 0, "{now:?}");
            }
            now += wait;
            assert_eq!(limiter.take(1, now), 1, "{now:?}");
        }
        assert!((now.as_secs_f64() - 1000.0 / 300.0).abs() < 1e-3, "{now:?}");
    }

    #[test]
    fn a_pause_is_not_made_up_for() {
        let mut limiter = limiter(1000);
        assert_eq!(limiter.take(usize::MAX, Duration::from_secs(3600)), 11);
        assert_eq!(limiter.take(1, Duration::from_secs(1)), 0, "time does not run backwards");
        limiter.give_back(4);
        assert_eq!(limiter.take(9, Duration::from_secs(3600)), 4);
    }
}
