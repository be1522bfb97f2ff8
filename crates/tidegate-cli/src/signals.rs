//! Signals to `tidegate run`: passed on to the job, unless the job gets them anyway.
//!
//! A terminal sends Ctrl-C to all processes in its foreground, so the job has it too. A SIGTERM,
//! or a SIGINT to a `tidegate` in the background, comes from somebody who knows only our process.

use std::fs;
use std::io;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

/// From when it is made, signals do not end this process any more.
pub(crate) struct SignalForwarder {
    signals: Signals,
}

impl SignalForwarder {
    /// Signals that this process was told to ignore (by `nohup`, say) are left alone, so that the
    /// job ignores them too.
    pub(crate) fn new() -> io::Result<Self> {
        let ignored = ignored_signals(&fs::read_to_string("/proc/self/status")?);
        let handled = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];
        let signals = handled.into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
        Ok(Self { signals: Signals::new(signals)? })
    }

    /// Passes signals on until the child has ended. It is not fetched, so that its process id
    /// stays its own while a signal may be on the way.
    pub(crate) fn forward_until_end(mut self, child: Pid) -> io::Result<()> {
        let handle = self.signals.handle();
        let forwarder = std::thread::Builder::new().name("signals".to_owned());
        let forwarder = forwarder.spawn(move || {
            for number in self.signals.forever() {
                let Some(signal) = Signal::from_named_raw(number) else { continue };
                if number == SIGTERM || !is_from_terminal() {
                    // It may have ended just now.
                    let _ = kill_process(child, signal);
                }
            }
        })?;
        loop {
            match waitid(WaitId::Pid(child), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        handle.close();
        // It ends as soon as the handle is closed.
        let _ = forwarder.join();
        Ok(())
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
