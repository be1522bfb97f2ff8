//! The objects of owners: their names and texts. `docs/storage.md` has the same.

use std::str;

use tidegate_store::{OwnerInfo, StoragePath};

const TITLE: &str = "tidegate owner log 1";
const END: &str = "end";

/// Who made an entry: a holder, and the process that he is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Of this hold alone.
    pub token: u128,
    /// The boot of the machine, the PID name space and the start of the process, where the system has
    /// such; a process with the same id is another one unless all are the same.
    pub process: Option<ProcessMark>,
    /// For people.
    pub owner: OwnerInfo,
}

/// What makes a process id unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessMark {
    /// The random id of the boot.
    pub boot: String,
    /// The PID name space.
    pub namespace: String,
    /// When the process started, in ticks since the boot.
    pub started: u64,
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) event: Event,
    /// The number of the entry with which the hold began: its counter's.
    pub(super) own: u64,
    pub(super) mark: Mark,
    /// Paths whose files were logged by superseded owners, or whose publication is in doubt.
    pub(super) guards: Vec<StoragePath>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Own,
    Publish(StoragePath),
    Release,
}

/// A holder's sign of life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Beat {
    pub(super) token: u128,
    pub(super) count: u64,
    /// All publications up to the entry with this number are done.
    pub(super) settled: u64,
}

pub(super) fn entry_name(number: u64) -> String {
    format!("e{number:020}")
}

pub(super) fn beat_name(own: u64) -> String {
    format!("h{own:020}")
}

/// The number of an entry or of a sign of life, by its name's first letter.
pub(super) fn number_of(name: &str, letter: char) -> Option<u64> {
    name.strip_prefix(letter).filter(|digits| digits.len() == 20)?.parse().ok()
}

impl Entry {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let Self { event, own, mark, guards } = self;
        let event = match event {
            Event::Own => "own".to_owned(),
            Event::Publish(path) => format!("publish {path}"),
            Event::Release => "release".to_owned(),
        };
        let process = match &mark.process {
            Some(ProcessMark { boot, namespace, started }) => {
                format!("boot: {boot}\nnamespace: {namespace}\nbegan: {started}\n")
            }
            None => String::new(),
        };
        let guards = guards.iter().flat_map(|guard| ["guard: ", guard.as_str(), "\n"]);
        let (token, owner) = (mark.token, mark.owner.to_text());
        let guards = guards.collect::<String>();
        let text = format!(
            "{TITLE}\nevent: {event}\nown: {own}\ntoken: {token:032x}\n{owner}{process}{guards}{END}\n"
        );
        text.into_bytes()
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
        let lines: Vec<&str> = text.split('\n').collect();
        let [title, event, own, token, rest @ .., end] = &*lines else { return None };
        if (*title, *end) != (TITLE, END) {
            return None;
        }
        let event = match event.strip_prefix("event: ")? {
            "own" => Event::Own,
            "release" => Event::Release,
            other => Event::Publish(StoragePath::new(other.strip_prefix("publish ")?).ok()?),
        };
        let own = own.strip_prefix("own: ")?.parse().ok()?;
        let token = u128::from_str_radix(token.strip_prefix("token: ")?, 16).ok()?;
        let (owner, rest) = rest.split_at_checked(5)?;
        let owner = OwnerInfo::from_text(&format!("{}\n", owner.join("\n")))?;
        let (process, rest) = match rest {
            [boot, namespace, started, rest @ ..] if boot.starts_with("boot: ") => {
                let process = ProcessMark {
                    boot: boot.strip_prefix("boot: ")?.to_owned(),
                    namespace: namespace.strip_prefix("namespace: ")?.to_owned(),
                    started: started.strip_prefix("began: ")?.parse().ok()?,
                };
                (Some(process), rest)
            }
            rest => (None, rest),
        };
        let guard = |line: &&str| StoragePath::new(line.strip_prefix("guard: ")?).ok();
        let guards = rest.iter().map(guard).collect::<Option<_>>()?;
        Some(Self { event, own, mark: Mark { token, process, owner }, guards })
    }
}

impl Beat {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let Self { token, count, settled } = self;
        format!("token: {token:032x}\ncount: {count}\nsettled: {settled}\n").into_bytes()
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut lines = str::from_utf8(bytes).ok()?.strip_suffix('\n')?.split('\n');
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(": ");
        Some(Self {
            token: u128::from_str_radix(field("token")?, 16).ok()?,
            count: field("count")?.parse().ok()?,
            settled: field("settled")?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(event: Event) -> Entry {
        let owner = OwnerInfo {
            host: "worker-3".into(),
            process_id: 4711,
            job_name: "flights".into(),
            attempt: 2,
            started_at_ms: 1_764_000_000_000,
        };
        let process =
            ProcessMark { boot: "5f3c".into(), namespace: "pid:[4026531836]".into(), started: 99 };
        let guards = vec![StoragePath::new("job/chk-3/_metadata").unwrap()];
        Entry { event, own: 7, mark: Mark { token: 0xab, process: Some(process), owner }, guards }
    }

    #[test]
    fn the_text_is_as_documented() {
        let path = StoragePath::new("job/chk-4/_metadata").unwrap();
        let text = String::from_utf8(entry(Event::Publish(path)).to_bytes()).unwrap();
        assert_eq!(
            text,
            "tidegate owner log 1\nevent: publish job/chk-4/_metadata\nown: 7\n\
             token: 000000000000000000000000000000ab\nhost: worker-3\nprocess: 4711\njob: flights\n\
             attempt: 2\nstarted: 1764000000000\nboot: 5f3c\nnamespace: pid:[4026531836]\nbegan: 99\n\
             guard: job/chk-3/_metadata\nend\n"
        );
        assert_eq!(entry_name(7), "e00000000000000000007");
        assert_eq!(number_of(&beat_name(7), 'h'), Some(7));
        assert_eq!(number_of("e7", 'e'), None);
    }

    #[test]
    fn texts_read_back_and_no_part_of_them_does() {
        let beat = Beat { token: u128::MAX, count: 3, settled: 9 };
        assert_eq!(Beat::parse(&beat.to_bytes()), Some(beat));
        let path = StoragePath::new("job/chk-4/_metadata").unwrap();
        for event in [Event::Own, Event::Publish(path), Event::Release] {
            let mut without = entry(event.clone());
            (without.mark.process, without.guards) = (None, Vec::new());
            for entry in [entry(event), without] {
                let bytes = entry.to_bytes();
                assert_eq!(Entry::parse(&bytes).as_ref(), Some(&entry));
                for end in 0..bytes.len() {
                    assert_eq!(Entry::parse(&bytes[..end]), None, "{end}");
                }
            }
        }
    }
}
