//! Records in flight: the front of their form in a checkpoint, and who gets them back.
//!
//! A record that an unaligned barrier has overtaken is written as its head, for which the law is
//! in `docs/format-channel-state.md`, and the task's own form of key and value behind it. The head
//! has all that is needed to deal records out, so that dealing them knows no type.

use tidegate_types::{KeyGroupRange, KeyHash, MaxParallelism, RegisteredState, StateKind};

/// Under which name the type of an operator's records in flight is registered.
pub const IN_FLIGHT: &str = "(records in flight)";

const PLAIN: u8 = 1;
const KEYED: u8 = 2;

/// What stands in front of each record in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InFlightHead {
    /// The event time in milliseconds since the Unix epoch; `i64::MIN` for none.
    pub timestamp_ms: i64,
    /// The hash of the key, of a record on its way to keyed state.
    pub key: Option<KeyHash>,
}

impl InFlightHead {
    /// Appends the head.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(if self.key.is_some() { KEYED } else { PLAIN });
        out.extend_from_slice(&self.timestamp_ms.to_le_bytes());
        if let Some(key) = self.key {
            out.extend_from_slice(&key.get().to_le_bytes());
        }
    }

    /// Reads the head from the front of `bytes` and moves `bytes` behind it; `None` when there is
    /// none.
    #[must_use]
    pub fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        let (timestamp, rest) = rest.split_first_chunk()?;
        let timestamp_ms = i64::from_le_bytes(*timestamp);
        let (key, rest) = match *tag {
            PLAIN => (None, rest),
            KEYED => {
                let (hash, rest) = rest.split_first_chunk()?;
                (Some(KeyHash::from_bits(u64::from_le_bytes(*hash))), rest)
            }
            _ => return None,
        };
        *bytes = rest;
        Some(Self { timestamp_ms, key })
    }
}

/// Which of the records in flight a subtask gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InFlightSelection {
    /// All of the handles that it gets: they were its own.
    #[default]
    All,
    /// Of the handles of all former subtasks, those with a key in one of its key groups.
    KeyGroups {
        /// How many key groups there are.
        max_parallelism: MaxParallelism,
        /// Its key groups.
        range: KeyGroupRange,
    },
}

impl InFlightSelection {
    /// Whether the subtask gets this record. One that cannot be read goes to every subtask, which
    /// will find out and say so: none is lost in silence.
    #[must_use]
    pub fn takes(&self, mut record: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::KeyGroups { max_parallelism, range } => {
                let key = InFlightHead::decode(&mut record).and_then(|head| head.key);
                key.is_none_or(|key| range.contains(max_parallelism.key_group_of(key)))
            }
        }
    }
}

/// What an operator registers of its records in flight. Keyed ones are a list a key.
#[must_use]
pub fn registered_in_flight(types: &str, archived_size: usize, keyed: bool) -> RegisteredState {
    let fingerprint = KeyHash::of_bytes(format!("{types}\n{archived_size}").as_bytes());
    RegisteredState {
        name: IN_FLIGHT.into(),
        kind: if keyed { StateKind::List } else { StateKind::OperatorList },
        fingerprint: fingerprint.get(),
        schema_version: 0,
        types: types.into(),
    }
}

/// Whether records in flight can be dealt out by their keys.
pub(crate) fn are_keyed(registered: &[RegisteredState]) -> bool {
    let mut in_flight = registered.iter().filter(|state| &*state.name == IN_FLIGHT);
    in_flight.any(|state| state.kind == StateKind::List)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_round_trip_and_anything_shorter_is_none() {
        for key in [None, Some(KeyHash::from_bits(u64::MAX - 7))] {
            let head = InFlightHead { timestamp_ms: -5, key };
            let mut bytes = Vec::new();
            head.encode(&mut bytes);
            let length = bytes.len();
            bytes.extend(b"value");
            let mut rest = bytes.as_slice();
            assert_eq!(InFlightHead::decode(&mut rest), Some(head));
            assert_eq!(rest, b"value");
            for cut in 0..length {
                assert_eq!(InFlightHead::decode(&mut &bytes[..cut]), None);
            }
        }
        for tag in (0..=255_u8).filter(|tag| ![PLAIN, KEYED].contains(tag)) {
            assert_eq!(InFlightHead::decode(&mut [&[tag][..], &[0; 32]].concat().as_slice()), None);
        }
    }
}
