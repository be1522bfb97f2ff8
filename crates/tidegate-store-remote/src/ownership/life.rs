//! Whether a process of this machine lives, which makes waiting for a lease needless.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{BuildHasher, RandomState};

use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use tidegate_store::OwnerInfo;

use super::entry::{Mark, ProcessMark};

/// The tokens of the holds of this process.
static HELD: Mutex<BTreeSet<u128>> = Mutex::new(BTreeSet::new());

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Alive,
    Dead,
    Unknown,
}

/// A hold of this process, as long as it is not dropped.
#[derive(Debug)]
pub(super) struct Held(u128);

impl Held {
    pub(super) fn new(token: u128) -> Self {
        HELD.lock().insert(token);
        Self(token)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.lock().remove(&self.0);
    }
}

/// A mark for a new hold of this process.
pub(super) fn mark(owner: &OwnerInfo) -> Mark {
    // Every `RandomState` has keys of its own.
    let half = || u128::from(RandomState::new().hash_one(owner.started_at_ms));
    Mark { token: (half() << 64) | half(), process: this_process(), owner: owner.clone() }
}

/// What is known for certain about the process that left the mark.
pub(super) fn life_of(mark: &Mark) -> Life {
    let (Some(theirs), Some(ours)) = (&mark.process, this_process()) else { return Life::Unknown };
    if (&theirs.boot, &theirs.namespace) != (&ours.boot, &ours.namespace) {
        return Life::Unknown;
    }
    if theirs.started == ours.started && mark.owner.process_id == std::process::id() {
        let is_held = HELD.lock().contains(&mark.token);
        return if is_held { Life::Alive } else { Life::Dead };
    }
    let pid = i32::try_from(mark.owner.process_id).ok().and_then(Pid::from_raw);
    let Some(pid) = pid else { return Life::Unknown };
    if test_kill_process(pid) == Err(Errno::SRCH) {
        return Life::Dead;
    }
    match started(&format!("/proc/{}/stat", pid.as_raw_nonzero())) {
        Some(started) if started == theirs.started => Life::Alive,
        // The id is another process's by now.
        Some(_) => Life::Dead,
        None => Life::Unknown,
    }
}

fn this_process() -> Option<ProcessMark> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?.to_str()?.to_owned();
    Some(ProcessMark { boot, namespace, started: started("/proc/self/stat")? })
}

// The 22nd field, where the second one, in parentheses, may hold anything. A process that is dead
// but not buried has started at no time.
fn started(stat: &str) -> Option<u64> {
    let text = fs::read_to_string(stat).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    let started = fields.nth(18)?.parse().ok()?;
    Some(if matches!(state, "Z" | "X" | "x") { u64::MAX } else { started })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_hold_of_this_process_lives_until_it_is_dropped() {
        let mark = mark(&OwnerInfo::current("job", 1));
        assert_eq!(life_of(&mark), Life::Dead);
        let held = Held::new(mark.token);
        assert_eq!(life_of(&mark), Life::Alive);
        drop(held);
        assert_eq!(life_of(&mark), Life::Dead);
    }

    #[test]
    fn another_process_lives_until_it_ends_and_its_id_alone_proves_nothing() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let mut of_child = mark(&OwnerInfo::current("job", 1));
        of_child.owner.process_id = child.id();
        let stat = format!("/proc/{}/stat", child.id());
        of_child.process.as_mut().unwrap().started = started(&stat).unwrap();
        assert_eq!(life_of(&of_child), Life::Alive);
        let mut earlier = of_child.clone();
        earlier.process.as_mut().unwrap().started -= 1;
        assert_eq!(life_of(&earlier), Life::Dead);
        let mut elsewhere = of_child.clone();
        elsewhere.process.as_mut().unwrap().boot = "another".into();
        assert_eq!(life_of(&elsewhere), Life::Unknown);
        elsewhere.process = None;
        assert_eq!(life_of(&elsewhere), Life::Unknown);

        drop(child.stdin.take());
        let _ = child.wait().unwrap();
        assert_eq!(life_of(&of_child), Life::Dead);
    }
}
