//! What is to happen when a job fails: the settings `restart-strategy.*`.
//!
//! What follows from them, failure after failure, is [`RestartBackoff`](crate::restart::RestartBackoff)'s.

use std::time::Duration;

/// Whether and when a job that failed starts again from its newest checkpoint. The strategies, their
/// settings and their defaults are those of Flink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RestartStrategy {
    /// Never.
    None,
    /// A number of times.
    FixedDelay {
        /// How often, before the job fails.
        attempts: u32,
        /// How long to wait before each.
        delay: Duration,
    },
    /// After a wait that grows with every failure.
    ExponentialDelay(ExponentialDelay),
    /// As long as failures are rare.
    FailureRate {
        /// How many within the interval are tolerated.
        max_failures: u32,
        /// The interval.
        interval: Duration,
        /// How long to wait before each restart.
        delay: Duration,
    },
}

/// The settings of [`RestartStrategy::ExponentialDelay`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExponentialDelay {
    /// The first wait.
    pub initial: Duration,
    /// The longest wait.
    pub max: Duration,
    /// By what the wait grows with every failure; above one.
    pub multiplier: Factor,
    /// How long after a restart a failure counts as the first one again.
    pub reset_after: Duration,
    /// By which part of itself a wait is lengthened or shortened at random, so that jobs that failed
    /// together do not come back together; from zero to one.
    pub jitter: Factor,
    /// How many failures in a row are tolerated; `None` is any number.
    pub attempts: Option<u32>,
}

impl Default for ExponentialDelay {
    /// A second, then longer by half each time up to a minute; after a good hour from the beginning.
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(1),
            max: Duration::from_mins(1),
            multiplier: Factor::from_thousandths(1_500),
            reset_after: Duration::from_hours(1),
            jitter: Factor::from_thousandths(100),
            attempts: None,
        }
    }
}

/// A number with three decimals, exact, so that settings can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Factor {
    thousandths: u32,
}

impl Factor {
    /// One.
    pub const ONE: Self = Self::from_thousandths(1_000);

    /// That many thousandths.
    #[must_use]
    pub const fn from_thousandths(thousandths: u32) -> Self {
        Self { thousandths }
    }

    /// As a plain number.
    #[must_use]
    pub fn get(self) -> f64 {
        f64::from(self.thousandths) / 1_000.0
    }

    /// From decimal notation without sign or exponent, with at most three decimals that count.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let decimals = decimals.trim_end_matches('0');
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(decimals) || decimals.len() > 3 {
            return None;
        }
        let whole: u32 = whole.parse().ok()?;
        let decimals: u32 = format!("{decimals:0<3}").parse().ok()?;
        whole.checked_mul(1_000)?.checked_add(decimals).map(Self::from_thousandths)
    }
}

#[test]
fn factors_are_read_exactly() {
    for (text, thousandths) in
        [("1", 1000), ("1.5", 1500), ("0.1", 100), ("2.000", 2000), ("0.125000", 125), ("1.", 1000)]
    {
        assert_eq!(Factor::parse(text), Some(Factor::from_thousandths(thousandths)), "{text}");
    }
    for text in ["", ".5", "-1", "1e3", "0.1234", "1.5.2", "1,5", "4294968", "x"] {
        assert_eq!(Factor::parse(text), None, "{text}");
    }
}
