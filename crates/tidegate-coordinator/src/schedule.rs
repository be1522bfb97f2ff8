//! When the next periodic checkpoint is due.
//!
//! Checkpoints start on the beats of a fixed grid, so that a slow one does not shift those after
//! it; a beat that is missed is not made up for.

use std::time::Duration;

use crate::CoordinatorConfig;

/// Less than this is no interval but a busy loop.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    interval: Option<Duration>,
    min_pause: Duration,
    next_beat: Option<Duration>,
    // When the last checkpoint completed or was given up.
    last_end: Option<Duration>,
}

impl Schedule {
    pub(crate) fn new(config: &CoordinatorConfig) -> Self {
        let interval = config.interval.map(|interval| interval.max(SHORTEST_INTERVAL));
        Self { interval, min_pause: config.min_pause, next_beat: interval, last_end: None }
    }

    /// The earliest time for a periodic checkpoint, as far as the clock is concerned.
    pub(crate) fn due(&self) -> Option<Duration> {
        let after_pause = self.last_end.map_or(Duration::ZERO, |end| end + self.min_pause);
        self.next_beat.map(|beat| beat.max(after_pause))
    }

    pub(crate) fn triggered(&mut self, now: Duration) {
        if let (Some(interval), Some(beat)) = (self.interval, self.next_beat.as_mut()) {
            let missed = now.saturating_sub(*beat).as_nanos() / interval.as_nanos();
            let beats = u32::try_from(missed).unwrap_or(u32::MAX - 1) + 1;
            *beat = beat.saturating_add(interval.saturating_mul(beats)).max(now);
        }
    }

    pub(crate) fn ended(&mut self, now: Duration) {
        self.last_end = Some(now);
    }

    /// The tasks have just started: a whole interval is theirs.
    pub(crate) fn restarted(&mut self, now: Duration) {
        self.next_beat = self.interval.map(|interval| now + interval);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(interval: u64, min_pause: u64) -> Schedule {
        Schedule::new(&CoordinatorConfig {
            interval: Some(Duration::from_millis(interval)),
            min_pause: Duration::from_millis(min_pause),
            ..CoordinatorConfig::default()
        })
    }

    fn due(schedule: &Schedule) -> u128 {
        schedule.due().unwrap().as_millis()
    }

    #[test]
    fn a_late_start_does_not_shift_the_beats() {
        let mut schedule = schedule(100, 0);
        assert_eq!(due(&schedule), 100);
        schedule.triggered(Duration::from_millis(130));
        assert_eq!(due(&schedule), 200);
        schedule.triggered(Duration::from_millis(555));
        assert_eq!(due(&schedule), 600, "missed beats are not made up for");
    }

    #[test]
    fn the_pause_counts_from_the_end() {
        let mut schedule = schedule(100, 50);
        schedule.triggered(Duration::from_millis(100));
        schedule.ended(Duration::from_millis(180));
        assert_eq!(due(&schedule), 230);
        schedule.ended(Duration::from_millis(120));
        assert_eq!(due(&schedule), 200);
    }

    #[test]
    fn no_interval_is_never_due_and_a_zero_one_never_busy() {
        assert_eq!(Schedule::new(&CoordinatorConfig::default()).due(), None);
        let mut zero = schedule(0, 0);
        zero.triggered(Duration::from_secs(5));
        assert!(zero.due() > Some(Duration::from_secs(5)));
    }
}
