//! How long to wait between two tries.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// Pauses that double, each with chance in it, so that those who failed together do not come again
/// together.
#[derive(Debug)]
pub(crate) struct Backoff {
    pause: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { pause: FIRST }
    }
}

impl Backoff {
    /// The next pause: between half and all of its length.
    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST);
        // The upper half of the range, in 1024 steps.
        let chance = u32::try_from(RandomState::new().hash_one(()) % 512).unwrap_or_default();
        pause * (512 + chance) / 1024
    }
}

#[test]
fn pauses_double_up_to_the_longest() {
    let mut backoff = Backoff::default();
    let pauses: Vec<_> = std::iter::repeat_with(|| backoff.next()).take(20).collect();
    assert!(pauses.iter().all(|pause| (FIRST / 2..=LONGEST).contains(pause)), "{pauses:?}");
    assert!(pauses[10..].iter().all(|pause| *pause >= LONGEST / 2), "{pauses:?}");
}
