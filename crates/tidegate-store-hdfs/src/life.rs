//! Whether the process that wrote a mark still runs, where that can be known for certain.
//!
//! It can on the machine that runs it: a process id there means one process if boot, namespace of
//! process ids and the time of its start are the same too. This process itself may live on without a
//! hold that could not be given free properly, so it knows its holds.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};

const NAME: &str = "running as: ";

/// The ids of the holds of this process.
static HELD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// A hold of this process, until it is dropped.
#[derive(Debug)]
pub(crate) struct Held(String);

impl Held {
    pub(crate) fn new(id: &str) -> Self {
        held().insert(id.to_owned());
        Self(id.to_owned())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        held().remove(&self.0);
    }
}

fn held() -> MutexGuard<'static, BTreeSet<String>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is known of an owner's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It runs, or is stopped.
    Lives,
    /// It has ended.
    Dead,
    /// It is, or was, somewhere else.
    Unknown,
}

/// A process, as nothing else is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// Boot and namespace; empty where the system does not say.
    place: String,
    id: u32,
    started: String,
}

impl Process {
    pub(crate) fn current() -> Self {
        let id = std::process::id();
        Self { place: place().unwrap_or_default(), id, started: started(id).unwrap_or_default() }
    }

    pub(crate) fn to_line(&self) -> String {
        format!("{NAME}{} {} {}\n", self.place, self.id, self.started)
    }

    /// From the text of a mark; `None` when it does not say.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let line = text.lines().find_map(|line| line.strip_prefix(NAME))?;
        let mut words = line.split(' ');
        let (place, id, started) = (words.next()?, words.next()?, words.next()?);
        if place.is_empty() || started.is_empty() {
            return None;
        }
        Some(Self { place: place.to_owned(), id: id.parse().ok()?, started: started.to_owned() })
    }

    /// Whether it lives, and has this hold still if it is this one.
    pub(crate) fn life(&self, hold: &str) -> Life {
        if *self == Self::current() {
            return if held().contains(hold) { Life::Lives } else { Life::Dead };
        }
        match place() {
            Some(here) if here == self.place => match started(self.id) {
                Some(started) if started == self.started => Life::Lives,
                _ => Life::Dead,
            },
            _ => Life::Unknown,
        }
    }
}

fn place() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{}/{}", boot.trim(), namespace.display()))
}

/// When it started, in ticks since boot; `None` when it runs no more.
fn started(id: u32) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The program's name, in parentheses, may have anything in it.
    let mut fields = status[status.rfind(')')? + 1..].split_whitespace();
    let state = fields.next()?;
    let is_over = matches!(state, "Z" | "X" | "x");
    // The 22nd field of all, of which two are before the parenthesis' end.
    fields.nth(18).filter(|_| !is_over).map(str::to_owned)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_lives_until_it_ends() {
        let own = Process::current();
        assert_eq!(Process::from_text(&format!("x: 1\n{}", own.to_line())), Some(own.clone()));
        assert_eq!(own.life("a"), Life::Dead, "no such hold");
        let hold = Held::new("a");
        assert_eq!(own.life("a"), Life::Lives);
        drop(hold);
        assert_eq!(own.life("a"), Life::Dead);
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let other =
            Process { id: child.id(), started: started(child.id()).unwrap(), ..own.clone() };
        assert_eq!(other.life("a"), Life::Lives);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(other.life("a"), Life::Dead);
        // The same id came again.
        assert_eq!(Process { started: "1".into(), ..own.clone() }.life("a"), Life::Dead);
        assert_eq!(Process { place: "elsewhere".into(), ..own }.life("a"), Life::Unknown);
        assert_eq!(Process::from_text("host: x\n"), None);
    }
}
