//! Keyed state forged by somebody who makes all checksums right: refused, or harmless; in no case
//! does it cost more time or memory than its own length.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_meta::frame::{FrameKind, HEADER_LENGTH, seal};
use tidegate_state::{CanonicalReader, KeyedContext, StateError, StateSource};
use tidegate_store::{StateReader, StorageError};
use tidegate_types::*;
use xxhash_rust::xxh3::xxh3_64;

use crate::repair::{Places, repaired};

const GOLDEN: &[u8] = include_bytes!("../../testdata/v1/keyed-state.canonical");
/// An index line: u16 key group, u16 state, then offset, length, entries and checksum as u64.
const LINE: usize = 36;

fn context() -> KeyedContext {
    let subtask = Subtask::new(0, Parallelism::ONE);
    let max_parallelism = MaxParallelism::new(4).unwrap();
    KeyedContext {
        operator: OperatorUid::new("count").unwrap(),
        subtask,
        max_parallelism,
        key_groups: KeyGroupRange::of_subtask(max_parallelism, subtask),
        attempt: AttemptId::new(1),
    }
}

/// The parts of the golden file, to be put together otherwise.
#[derive(Clone)]
struct Parts {
    head: Vec<u8>,
    blocks: Vec<u8>,
    index: Vec<u8>,
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn golden() -> Parts {
    let end = GOLDEN.len() - 16;
    let index = usize::try_from(number(GOLDEN, end)).unwrap();
    let blocks = HEADER_LENGTH + usize::try_from(number(GOLDEN, 16)).unwrap();
    Parts {
        head: GOLDEN[HEADER_LENGTH..blocks].to_vec(),
        blocks: GOLDEN[blocks..index].to_vec(),
        index: GOLDEN[index + HEADER_LENGTH..end].to_vec(),
    }
}

impl Parts {
    fn blocks_start(&self) -> u64 {
        (HEADER_LENGTH + self.head.len()) as u64
    }

    /// Each with right frames and checksums around it, as it is.
    fn whole(&self) -> Vec<u8> {
        let mut bytes = seal(FrameKind::KeyedState, &self.head);
        bytes.extend_from_slice(&self.blocks);
        let index = (bytes.len() as u64).to_le_bytes();
        bytes.extend_from_slice(&seal(FrameKind::KeyedStateIndex, &self.index));
        bytes.extend_from_slice(&index);
        bytes.extend_from_slice(&xxh3_64(&index).to_le_bytes());
        bytes
    }

    fn set(&mut self, line: usize, field: usize, value: u64) {
        let at = LINE * line + 4 + 8 * field;
        self.index[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn field(&self, line: usize, field: usize) -> u64 {
        number(&self.index, LINE * line + 4 + 8 * field)
    }

    /// Replaces the chunks of the last block, with right checksums of it and its chunks.
    fn set_last_block(&mut self, count: u32, length: u32, body: &[u8]) {
        let line = self.index.len() / LINE - 1;
        let start = usize::try_from(self.field(line, 0) - self.blocks_start()).unwrap();
        let header = [count.to_le_bytes(), length.to_le_bytes()].concat();
        let header = [&header[..], &xxh3_64(body).to_le_bytes()].concat();
        self.blocks.splice(start.., [&header, body].concat());
        self.set(line, 1, (header.len() + body.len()) as u64);
        self.set(line, 2, count.into());
        self.set(line, 3, xxh3_64(&header));
    }
}

/// A file of which it is noted how much is read.
struct File {
    bytes: Vec<u8>,
    read: Arc<AtomicU64>,
}

impl StateReader for File {
    fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StorageError> {
        self.read.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        let offset = usize::try_from(offset).unwrap();
        buffer.copy_from_slice(&self.bytes[offset..offset + buffer.len()]);
        Ok(())
    }

    fn read_all(&self, _: u64) -> Result<Vec<u8>, StorageError> {
        panic!("keyed state is not read whole");
    }
}

/// Opens it and reads everything; gives the number of entries.
fn read(bytes: Vec<u8>) -> Result<u64, StateError> {
    let length = bytes.len() as u64;
    let read = Arc::new(AtomicU64::new(0));
    let file = File { bytes, read: Arc::clone(&read) };
    let result = read_all(StateSource::from_reader(Box::new(file)));
    // A frame's header is read once more with its payload; nothing else is read twice.
    let read = read.load(Ordering::Relaxed);
    assert!(read <= length + 2 * HEADER_LENGTH as u64, "{read} bytes are read of {length}");
    result
}

fn read_all(source: StateSource) -> Result<u64, StateError> {
    let reader = CanonicalReader::open(&context(), context().key_groups, source)?;
    let mut entries = 0;
    for group in reader.key_groups().iter() {
        for state in 0..reader.states().len() {
            let mut count = 0;
            reader.read(group, state, &mut |_| {
                count += 1;
                Ok(())
            })?;
            assert_eq!(count, reader.count(group, state));
            entries += count;
        }
    }
    Ok(entries)
}

fn refusal(change: impl FnOnce(&mut Parts)) -> String {
    let mut parts = golden();
    change(&mut parts);
    read(parts.whole()).expect_err("it is forged").to_string()
}

#[test]
fn the_golden_file_put_together_again_is_read() {
    assert!(golden().whole() == GOLDEN);
    assert_eq!(read(GOLDEN.to_vec()).unwrap(), 14);
    for places in [Places::AsTheyAre, Places::InOrder] {
        assert!(repaired(GOLDEN, places).unwrap() == GOLDEN, "nothing is to be repaired");
    }
}

#[test]
fn blocks_that_do_not_follow_each_other_are_refused() {
    // The checksum of no bytes is right wherever there are none.
    for offset in [0, 1 << 40, u64::MAX] {
        let elsewhere = refusal(|parts| {
            parts.set(1, 0, offset);
            parts.set(1, 1, 0);
            parts.set(1, 2, 0);
            parts.set(1, 3, xxh3_64(&[]));
        });
        assert!(elsewhere.contains("the next block"), "{elsewhere}");
    }
    // All that is right of the first block is right of the second, too.
    let overlapping = refusal(|parts| {
        for field in 0..4 {
            parts.set(1, field, parts.field(0, field));
        }
    });
    assert!(overlapping.contains("the next block"), "{overlapping}");
    let longer = refusal(|parts| parts.set(0, 1, u64::MAX));
    assert!(longer.contains("the next block"), "{longer}");
    let gap = refusal(|parts| parts.blocks.push(0));
    assert!(gap.contains("blocks up to the index"), "{gap}");
    let into_the_index = refusal(|parts| {
        let last = parts.index.len() / LINE - 1;
        parts.set(last, 1, parts.field(last, 1) + 1);
    });
    assert!(into_the_index.contains("blocks up to the index"), "{into_the_index}");
}

#[test]
fn a_block_that_comes_twice_is_refused_before_it_is_read() {
    let repeated = refusal(|parts| {
        let line = parts.index[..LINE].to_vec();
        parts.index.splice(LINE..LINE, line);
    });
    // There are more lines than places for blocks, so that the index is not even read.
    assert!(repeated.contains("a frame of bounded length"), "{repeated}");
    let instead = refusal(|parts| parts.index.copy_within(..LINE, LINE));
    assert!(instead.contains("the next block"), "{instead}");
    let descending = refusal(|parts| parts.index.rotate_left(LINE));
    assert!(descending.contains("the next block"), "{descending}");
}

#[test]
fn a_block_without_entries_or_of_nothing_known_is_refused() {
    let empty = refusal(|parts| {
        // Nothing, in front of the first block, if that is made to be of the second state.
        let mut line = parts.index[..LINE].to_vec();
        line[12..28].fill(0);
        line[28..].copy_from_slice(&xxh3_64(&[]).to_le_bytes());
        parts.index.splice(..LINE, line);
        let length = parts.field(1, 0) - parts.blocks_start();
        parts.blocks.drain(..usize::try_from(length).unwrap());
        for other in 1..parts.index.len() / LINE {
            parts.set(other, 0, parts.field(other, 0) - length);
        }
    });
    assert!(empty.contains("the next block"), "{empty}");
    let of_no_state = refusal(|parts| parts.index[2] = 9);
    assert!(of_no_state.contains("the next block"), "{of_no_state}");
    let last = golden().index.len() - LINE;
    let of_no_group = refusal(|parts| parts.index[last] = 4);
    assert!(of_no_group.contains("the next block"), "{of_no_group}");
}

#[test]
fn what_a_chunk_says_of_itself_allocates_nothing() {
    for length in [9, 1 << 20, u32::MAX] {
        let longer = refusal(|parts| parts.set_last_block(1, length, &[0; 8]));
        assert!(longer.contains("a chunk within its block"), "{longer}");
    }
    let none = refusal(|parts| {
        parts.set_last_block(0, 8, &[0; 8]);
        parts.set(parts.index.len() / LINE - 1, 2, 1);
    });
    assert!(none.contains("a chunk within its block"), "{none}");
    let entry = [&8_u32.to_le_bytes()[..], &[0; 8], &[1, 0, 0, 0], &[0; 4]].concat();
    refusal(|parts| parts.set_last_block(u32::MAX, 20, &entry));
}

#[test]
fn what_the_head_says_allocates_nothing() {
    for states in [3, 1 << 16, u32::MAX] {
        refusal(|parts| parts.head[4..8].copy_from_slice(&states.to_le_bytes()));
    }
    let twice = refusal(|parts| {
        let states = parts.head[8..].to_vec();
        parts.head[4] = 4;
        parts.head.extend_from_slice(&states);
        for line in 0..parts.index.len() / LINE {
            parts.set(line, 0, parts.field(line, 0) + states.len() as u64);
        }
    });
    assert!(twice.contains("names that occur once"), "{twice}");
    // Frames that are longer than the file, and headers that are right.
    for (at, length) in [(16, u64::MAX), (16, 1 << 40), (16, 1 << 20)] {
        let mut bytes = GOLDEN.to_vec();
        bytes[at..at + 8].copy_from_slice(&u64::to_le_bytes(length));
        let checksum = xxh3_64(&bytes[..56]);
        bytes[56..64].copy_from_slice(&checksum.to_le_bytes());
        assert!(read(bytes).is_err(), "a head of {length} bytes");
    }
}

#[test]
fn an_index_that_is_elsewhere_is_refused() {
    let end = GOLDEN.len() - 16;
    for offset in [0, 63, end as u64 - 1, end as u64, 1 << 40, u64::MAX] {
        let mut bytes = GOLDEN.to_vec();
        bytes[end..end + 8].copy_from_slice(&offset.to_le_bytes());
        let checksum = xxh3_64(&bytes[end..end + 8]);
        bytes[end + 8..].copy_from_slice(&checksum.to_le_bytes());
        assert!(read(bytes).is_err(), "an index at {offset}");
    }
}

#[test]
fn entries_that_do_not_ascend_are_refused() {
    // Two chunks with the same entries: each is right, and so are their headers.
    let twice = refusal(|parts| {
        let line = parts.index.len() / LINE - 1;
        let start = usize::try_from(parts.field(line, 0) - parts.blocks_start()).unwrap();
        let chunk = parts.blocks[start..].to_vec();
        parts.blocks.extend_from_slice(&chunk);
        parts.set(line, 1, 2 * chunk.len() as u64);
        parts.set(line, 2, 2 * parts.field(line, 2));
        parts.set(line, 3, xxh3_64(&chunk[..16].repeat(2)));
    });
    assert!(twice.contains("keys that ascend"), "{twice}");
}

#[test]
fn any_byte_changed_under_right_checksums_is_refused_or_harmless() {
    let mut accepted = 0;
    for position in 0..GOLDEN.len() {
        for value in [0, 1, 0x7F, 0xFF, GOLDEN[position].wrapping_add(1)] {
            for places in [Places::AsTheyAre, Places::InOrder] {
                let mut bytes = GOLDEN.to_vec();
                bytes[position] = value;
                let bytes = repaired(&bytes, places).unwrap();
                accepted += u32::from(read(bytes).is_ok());
            }
        }
    }
    assert!(accepted > 1000, "the checksums were right {accepted} times");
}
