//! From the settings `restart-strategy.*`, which come in any order, to the strategy.

use std::time::Duration;

use crate::config::keys;
use crate::config::values::{duration, number};
use crate::config::{ExponentialDelay, Factor, RestartStrategy};

/// What is set, with the defaults of what is not.
pub(super) struct RestartSettings {
    kind: Option<Kind>,
    attempts: u32,
    delay: Duration,
    max_failures: u32,
    rate_interval: Duration,
    rate_delay: Duration,
    exponential: ExponentialDelay,
}

enum Kind {
    None,
    FixedDelay,
    FailureRate,
    ExponentialDelay,
}

impl Default for RestartSettings {
    fn default() -> Self {
        Self {
            kind: None,
            attempts: 1,
            delay: Duration::from_secs(1),
            max_failures: 1,
            rate_interval: Duration::from_mins(1),
            rate_delay: Duration::from_secs(1),
            exponential: ExponentialDelay::default(),
        }
    }
}

impl RestartSettings {
    /// Takes a setting; `None` when its value is not accepted.
    pub(super) fn set(&mut self, name: &'static str, text: &str) -> Option<()> {
        let positive = |text| duration(text).filter(|duration| !duration.is_zero());
        let exponential = &mut self.exponential;
        match name {
            keys::RESTART_STRATEGY => self.kind = Some(kind(text)?),
            keys::FIXED_DELAY_ATTEMPTS => self.attempts = number(text)?,
            keys::FIXED_DELAY_DELAY => self.delay = duration(text)?,
            keys::FAILURE_RATE_MAX => self.max_failures = number(text)?,
            keys::FAILURE_RATE_INTERVAL => self.rate_interval = positive(text)?,
            keys::FAILURE_RATE_DELAY => self.rate_delay = duration(text)?,
            keys::EXPONENTIAL_INITIAL => exponential.initial = positive(text)?,
            keys::EXPONENTIAL_MAX => exponential.max = positive(text)?,
            keys::EXPONENTIAL_MULTIPLIER => {
                exponential.multiplier = Factor::parse(text).filter(|f| *f > Factor::ONE)?;
            }
            keys::EXPONENTIAL_RESET => exponential.reset_after = positive(text)?,
            keys::EXPONENTIAL_JITTER => {
                exponential.jitter = Factor::parse(text).filter(|f| *f <= Factor::ONE)?;
            }
            keys::EXPONENTIAL_ATTEMPTS => {
                exponential.attempts = Some(number(text).filter(|attempts| *attempts > 0)?);
            }
            _ => unreachable!("every key of the table has a field: {name}"),
        }
        Some(())
    }

    pub(super) fn finish(self, checkpoints: bool) -> RestartStrategy {
        match self.kind {
            Some(Kind::FixedDelay) => {
                RestartStrategy::FixedDelay { attempts: self.attempts, delay: self.delay }
            }
            Some(Kind::FailureRate) => RestartStrategy::FailureRate {
                max_failures: self.max_failures,
                interval: self.rate_interval,
                delay: self.rate_delay,
            },
            Some(Kind::ExponentialDelay) => RestartStrategy::ExponentialDelay(self.exponential),
            // Flink's choice for a job that can go on from where it was.
            None if checkpoints => RestartStrategy::ExponentialDelay(self.exponential),
            Some(Kind::None) | None => RestartStrategy::None,
        }
    }
}

fn kind(text: &str) -> Option<Kind> {
    match text.to_ascii_lowercase().as_str() {
        "none" | "off" | "disable" => Some(Kind::None),
        "fixed-delay" | "fixeddelay" => Some(Kind::FixedDelay),
        "failure-rate" | "failurerate" => Some(Kind::FailureRate),
        "exponential-delay" | "exponentialdelay" => Some(Kind::ExponentialDelay),
        _ => None,
    }
}
