//! Signals to `tidegate run`: passed on to the job, unless the job gets them anyway.
//!
//! A terminal sends Ctrl-C to all processes in its foreground, so the job has it too. A SIGTERM,
//! or a SIGINT to a `tidegate` in the background, comes from somebody who knows only our process.

use std::fs;
use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

/// What somebody wants of `tidegate run` while no job program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// A signal of this number.
    Signal(i32),
    /// The job is to be cancelled.
    Cancel,
}

/// From when it is made, signals do not end this process any more.
pub(crate) struct SignalForwarder {
    shared: Arc<Mutex<Shared>>,
    wishes: Receiver<Wish>,
    wish: Sender<Wish>,
}

#[derive(Default)]
struct Shared {
    // The process that signals are passed on to. It is not fetched before this is `None`, so that
    // its id stays its own.
    child: Option<Pid>,
    // The first signal that there was: from then on the job is meant to end.
    first: Option<i32>,
}

impl SignalForwarder {
    /// Signals that this process was told to ignore (by `nohup`, say) are left alone, so that the
    /// job ignores them too.
    pub(crate) fn new() -> io::Result<Self> {
        let ignored = ignored_signals(&fs::read_to_string("/proc/self/status")?);
        let handled = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];
        let handled = handled.into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
        let mut signals = Signals::new(handled)?;
        let shared = Arc::new(Mutex::new(Shared::default()));
        let (wish, wishes) = mpsc::channel();
        let (state, tell) = (Arc::clone(&shared), wish.clone());
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for number in signals.forever() {
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                if number == SIGINT && state.child.is_none() && state.first.is_some() {
                    std::process::exit(128 + SIGINT);
                }
                state.first.get_or_insert(number);
                let _ = tell.send(Wish::Signal(number));
                let (Some(child), Some(signal)) = (state.child, Signal::from_named_raw(number))
                else {
                    continue;
                };
                if number == SIGTERM || !is_from_terminal() {
                    // It may have ended just now.
                    let _ = kill_process(child, signal);
                }
            }
        })?;
        Ok(Self { shared, wishes, wish })
    }

    /// Passes signals on until the child has ended; it is left to be fetched.
    pub(crate) fn forward_until_end(&self, child: Pid) -> io::Result<()> {
        self.set_child(Some(child));
        let ended = loop {
            match waitid(WaitId::Pid(child), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
                Ok(_) => break Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => break Err(error.into()),
            }
        };
        self.set_child(None);
        ended
    }

    /// Whether there was a signal: the job is meant to end.
    pub(crate) fn is_stopping(&self) -> bool {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).first.is_some()
    }

    /// Where others than signals say what they wish.
    pub(crate) fn wish(&self) -> Sender<Wish> {
        self.wish.clone()
    }

    /// Waits while no child runs; gives what was wished in the meantime.
    pub(crate) fn pause(&self, at_most: Duration) -> Option<Wish> {
        match self.wishes.recv_timeout(at_most) {
            Ok(wish) => Some(wish),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => unreachable!("we hold a sender"),
        }
    }

    fn set_child(&self, child: Option<Pid>) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).child = child;
    }
}

fn is_from_terminal() -> bool {
    fs::read_to_string("/proc/self/stat").is_ok_and(|stat| is_in_foreground(&stat))
}

/// Whether the process group is the one in the foreground of its terminal: fields 5 and 8.
fn is_in_foreground(stat: &str) -> bool {
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields.split_ascii_whitespace());
    let fields: Vec<&str> = fields.into_iter().flatten().take(6).collect();
    matches!(fields[..], [_, _, group, _, _, foreground] if group == foreground)
}

fn ignored_signals(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_foreground_is_told_from_the_background() {
        for (stat, expected) in [
            ("7 (a) b) S 1 70 60 34816 70 4194304", true),
            ("7 (a) S 1 70 60 34816 60 4194304", false),
            ("7 (a) S 1 70 60 0 -1 4194304", false),
            ("", false),
        ] {
            assert_eq!(is_in_foreground(stat), expected, "{stat}");
        }
    }

    #[test]
    fn ignored_signals_are_a_mask() {
        let ignored = ignored_signals("Name:\tx\nSigIgn:\t0000000000001003\nSigCgt:\tff\n");
        assert_eq!(ignored, 0x1003);
        assert_eq!(ignored >> (SIGINT - 1) & 1, 1);
        assert_eq!(ignored >> (SIGTERM - 1) & 1, 0);
    }
}
