//! What `/proc` tells of a process.

use std::fs;

/// A process, as `/proc/<pid>/stat` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProcessStat {
    /// 0 when it has none in this namespace.
    pub(crate) parent: u32,
    /// In clock ticks since the system started: with the id, it names one process for good.
    pub(crate) start_time: u64,
    /// Dead and waiting to be fetched by its parent.
    pub(crate) is_zombie: bool,
}

/// The process with this id; `None` if there is none.
pub(crate) fn stat(process_id: u32) -> Option<ProcessStat> {
    parse(&fs::read_to_string(format!("/proc/{process_id}/stat")).ok()?)
}

/// The parent of a process.
pub(crate) fn parent_of(process_id: u32) -> Option<u32> {
    stat(process_id).map(|stat| stat.parent).filter(|parent| *parent != 0)
}

fn parse(text: &str) -> Option<ProcessStat> {
    // The second field is the program's name in parentheses, which may itself hold parentheses
    // and blanks; the third follows the last closing one.
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let start_time = fields.nth(17)?.parse().ok()?;
    Some(ProcessStat { parent, start_time, is_zombie: matches!(state, "Z" | "X" | "x") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_hides_nothing() {
        let text = "7 (a) R (b) Z 12 1 1 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
        let expected = ProcessStat { parent: 12, start_time: 4711, is_zombie: true };
        assert_eq!(parse(text), Some(expected));
        assert_eq!(parse("7 (a"), None);
    }

    #[test]
    fn this_process_is_found() {
        let own = stat(std::process::id()).unwrap();
        assert!(!own.is_zombie);
        assert_eq!(Some(own.parent), parent_of(std::process::id()));
    }
}
