//! Whether an owner on another machine lives, by whether his counter moves.

use std::time::Duration;

/// What is seen of an owner: the newest entry of the log, and his counter.
pub(super) type Sign = (u64, u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Look again after this time.
    Wait(Duration),
    /// Something moved.
    Lives,
    /// Nothing moved for the whole lease.
    Expired,
}

/// Watches from its first look on, by the watcher's own clock.
#[derive(Debug)]
pub(super) struct Watch {
    first: Sign,
    since: Duration,
    lease: Duration,
}

impl Watch {
    pub(super) fn new(first: Sign, now: Duration, lease: Duration) -> Self {
        Self { first, since: now, lease }
    }

    pub(super) fn see(&self, sign: Sign, now: Duration) -> Verdict {
        if sign != self.first {
            return Verdict::Lives;
        }
        let left = self.lease.saturating_sub(now.saturating_sub(self.since));
        if left.is_zero() { Verdict::Expired } else { Verdict::Wait(left.min(self.lease / 5)) }
    }
}

#[test]
fn only_a_whole_lease_of_silence_ends_an_owner() {
    let seconds = Duration::from_secs;
    let watch = Watch::new((5, 1), seconds(100), seconds(10));
    assert_eq!(watch.see((5, 1), seconds(100)), Verdict::Wait(seconds(2)));
    assert_eq!(watch.see((5, 1), seconds(109)), Verdict::Wait(seconds(1)));
    assert_eq!(watch.see((5, 1), seconds(110)), Verdict::Expired);
    assert_eq!(watch.see((5, 2), seconds(110)), Verdict::Lives);
    assert_eq!(watch.see((6, 1), seconds(111)), Verdict::Lives);
}
