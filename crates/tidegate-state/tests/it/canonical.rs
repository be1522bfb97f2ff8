//! The canonical form: golden file, damage, bounded memory, cancellation.

use std::cell::Cell;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidegate_state::{
    CancelToken, CanonicalReader, CanonicalSnapshot, CanonicalWriter, Entry, FrozenTable,
    KeyedContext, SnapshotJob as _, SnapshotTarget, StateError, StateSource,
};
use tidegate_store::{
    CheckpointStorage as _, MemoryStorage, StateReader, StorageError, StoragePath,
};
use tidegate_types::*;

const GROUPS: u16 = 4;

fn context() -> KeyedContext {
    let subtask = Subtask::new(0, Parallelism::ONE);
    let max_parallelism = MaxParallelism::new(GROUPS).unwrap();
    KeyedContext {
        operator: OperatorUid::new("count words/1").unwrap(),
        subtask,
        max_parallelism,
        key_groups: KeyGroupRange::of_subtask(max_parallelism, subtask),
        attempt: AttemptId::new(3),
    }
}

fn states() -> [RegisteredState; 2] {
    let state = |name: &str, kind, fingerprint, types: &str| RegisteredState {
        name: name.into(),
        kind,
        fingerprint,
        schema_version: 2,
        types: types.into(),
    };
    [
        state("count", StateKind::Value, 0x0102_0304_0506_0708, "u64 -> u64"),
        state("seen", StateKind::List, 9, "u64 -> u32"),
    ]
}

/// Keys 0 to `keys`, each with one item of `item_length` bytes.
struct Table {
    keys: u64,
    item_length: usize,
}

impl FrozenTable for Table {
    fn entries(
        &self,
        group: KeyGroup,
        visit: &mut dyn FnMut(Entry<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let mut keys: Vec<_> =
            (0..self.keys).map(|n| (KeyHash::of_bytes(&n.to_be_bytes()), n)).collect();
        keys.sort_unstable();
        for (hash, number) in keys {
            let key = number.to_be_bytes();
            if context().max_parallelism.key_group_of(hash) == group {
                let mut items = u32::try_from(self.item_length).unwrap().to_le_bytes().to_vec();
                items.resize(4 + self.item_length, u8::try_from(number % 251).unwrap());
                visit(Entry { hash, key: &key, count: 1, items: &items })?;
            }
        }
        Ok(())
    }
}

fn write<W: Write>(out: W, table: &Table) -> Result<W, StateError> {
    let mut writer = CanonicalWriter::new(out, context().key_groups, &states())?;
    for group in context().key_groups.iter() {
        for state in 0..2 {
            writer.write(group, state, table, &CancelToken::new())?;
        }
    }
    writer.finish()
}

/// How many entries there are, and the sum of all their bytes.
fn read(source: StateSource) -> Result<(u64, u64), StateError> {
    let reader = CanonicalReader::open(&context(), context().key_groups, source)?;
    assert_eq!(reader.states(), states());
    let (mut entries, mut sum) = (0, 0);
    for group in reader.key_groups().iter() {
        for state in 0..2 {
            let before = entries;
            reader.read(group, state, &mut |entry| {
                entries += 1;
                sum += entry.key.iter().chain(entry.items).map(|b| u64::from(*b)).sum::<u64>();
                Ok(())
            })?;
            assert_eq!(entries - before, reader.count(group, state));
        }
    }
    Ok((entries, sum))
}

const GOLDEN: &[u8] = include_bytes!("../../testdata/v1/keyed-state.canonical");

#[test]
fn version_1_is_written_as_the_golden_file_and_read_from_it() {
    let table = Table { keys: 7, item_length: 3 };
    let bytes = write(Vec::new(), &table).unwrap();
    if std::env::var_os("TIDEGATE_WRITE_GOLDEN").is_some() {
        std::fs::write("testdata/v1/keyed-state.canonical", &bytes).unwrap();
    }
    assert!(bytes == GOLDEN, "the bytes of version 1 changed: released files could not be read");
    assert_eq!(read(StateSource::from(Arc::from(GOLDEN))).unwrap().0, 14);
}

// By the document's rules alone, none of the crate's code.
#[test]
fn the_golden_file_is_as_the_document_says() {
    let number = |at: usize, n: usize| {
        GOLDEN[at..at + n].iter().rev().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte))
    };
    assert_eq!((&GOLDEN[..8], number(10, 2)), (&b"TIDEGATE"[..], 3));
    assert_eq!((number(64, 2), number(66, 2), number(68, 4)), (0, 3, 2));
    // kind, fingerprint, version, name, types
    assert_eq!((number(72, 1), number(73, 8), number(81, 4)), (1, 0x0102_0304_0506_0708, 2));
    assert_eq!((number(85, 4), &GOLDEN[89..94]), (5, &b"count"[..]));
    let end = GOLDEN.len() - 16;
    let index = usize::try_from(number(end, 8)).unwrap();
    assert_eq!((&GOLDEN[index..index + 8], number(index + 10, 2)), (&b"TIDEGATE"[..], 4));
    let blocks = usize::try_from(number(index + 16, 8)).unwrap() / 36;
    let mut next = 64 + number(16, 8);
    let mut entries = 0;
    for block in 0..blocks {
        let at = index + 64 + 36 * block;
        let (offset, length) = (number(at + 4, 8), number(at + 12, 8));
        assert_eq!(offset, next, "blocks follow each other");
        next = offset + length;
        let chunk = usize::try_from(offset).unwrap();
        assert_eq!(number(chunk, 4), number(at + 20, 8), "one chunk has all entries of the block");
        assert_eq!(number(chunk + 4, 4) + 16, length);
        // key, items with their count
        assert_eq!((number(chunk + 16, 4), number(chunk + 28, 4)), (8, 1));
        assert_eq!((number(chunk + 32, 4), number(chunk + 36, 4)), (7, 3));
        entries += number(chunk, 4);
    }
    assert_eq!((entries, next), (14, index as u64));
}

/// A file whose longest read is noted.
struct File {
    bytes: Vec<u8>,
    longest: Arc<AtomicUsize>,
}

impl StateReader for File {
    fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), StorageError> {
        self.longest.fetch_max(buffer.len(), Ordering::Relaxed);
        let offset = usize::try_from(offset).unwrap();
        buffer.copy_from_slice(&self.bytes[offset..offset + buffer.len()]);
        Ok(())
    }

    fn read_all(&self, _: u64) -> Result<Vec<u8>, StorageError> {
        panic!("keyed state is not read whole");
    }
}

fn file(bytes: Vec<u8>) -> (StateSource, Arc<AtomicUsize>) {
    let longest = Arc::new(AtomicUsize::new(0));
    let reader = File { bytes, longest: Arc::clone(&longest) };
    (StateSource::from_reader(Box::new(reader)), longest)
}

#[test]
fn neither_side_holds_more_than_a_chunk() {
    /// Notes the longest write.
    struct Out(Vec<u8>, Cell<usize>);
    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.set(self.1.get().max(bytes.len()));
            self.0.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let table = Table { keys: 40_000, item_length: 60 };
    let out = write(Out(Vec::new(), Cell::new(0)), &table).unwrap();
    let length = out.0.len();
    assert!(length > 6_000_000, "{length} bytes are state enough");
    assert!(out.1.get() < 70_000, "a write of {} bytes", out.1.get());
    let in_memory = read(StateSource::from(Arc::from(&out.0[..]))).unwrap();
    let (source, longest) = file(out.0);
    assert_eq!(read(source).unwrap(), in_memory);
    assert_eq!(in_memory.0, 80_000);
    let longest = longest.load(Ordering::Relaxed);
    assert!(longest < 70_000, "a read of {longest} bytes");
}

#[test]
fn every_bit_flip_and_every_cut_is_noticed() {
    // Small entries in one chunk, and large ones in chunks of their own.
    for (keys, item_length) in [(20, 5), (2, 70_000)] {
        let bytes = write(Vec::new(), &Table { keys, item_length }).unwrap();
        assert!(read(file(bytes.clone()).0).is_ok());
        // Inside of the large items every bit is like the next one.
        let step = if item_length > 1000 { 8009 } else { 1 };
        for bit in (0..bytes.len() * 8).step_by(step) {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(read(file(damaged).0).is_err(), "bit {bit}");
        }
        for cut in (0..bytes.len()).step_by(step) {
            let error = read(file(bytes[..cut].to_vec()).0);
            assert!(error.is_err(), "cut at {cut}");
        }
        assert!(read(file([&bytes[..], b"x"].concat()).0).is_err());
    }
}

#[test]
fn other_key_groups_than_the_metadata_names_are_refused() {
    let bytes = write(Vec::new(), &Table { keys: 20, item_length: 5 }).unwrap();
    let other = KeyGroupRange::new(KeyGroup::new(0), KeyGroup::new(2)).unwrap();
    let refused = CanonicalReader::open(&context(), other, StateSource::from(Arc::from(bytes)));
    assert!(refused.unwrap_err().to_string().contains("the key groups of the metadata"));
}

fn snapshot(
    table: Table,
    storage: &MemoryStorage,
    cancel: &CancelToken,
) -> Result<StateHandle, StateError> {
    let [state, _] = states();
    let job = CanonicalSnapshot::new(&context(), vec![(state, Box::new(table))]);
    let path = StoragePath::new("savepoint-1").unwrap();
    let target = SnapshotTarget {
        checkpoint: CheckpointId::FIRST,
        attempt: AttemptId::new(3),
        storage,
        exclusive: &path,
        shared: &path,
    };
    Ok(Box::new(job).run(&target, cancel)?.keyed.remove(0).manifest)
}

#[test]
fn only_tiny_state_goes_into_the_metadata() {
    let storage = MemoryStorage::new();
    let tiny = snapshot(Table { keys: 3, item_length: 8 }, &storage, &CancelToken::new());
    assert!(tiny.unwrap().file().is_none());
    let directory = StoragePath::new("savepoint-1").unwrap();
    assert_eq!(storage.list(&directory).unwrap(), [], "and needs no file");
    let table = Table { keys: 300, item_length: 80 };
    let handle = snapshot(table, &storage, &CancelToken::new()).unwrap();
    let file = handle.file().unwrap();
    assert_eq!(file.reference.as_str(), "keyed-count-words-1-c66211cf-0-3");
    let written = storage.open(&directory.join(file.reference.as_str()).unwrap()).unwrap();
    let bytes = written.read_all(file.length).unwrap();
    assert_eq!(Digest::of(&bytes), file.digest);
}

#[test]
fn a_cancelled_savepoint_leaves_nothing() {
    /// Cancels when it is half shown.
    struct Cancelling(Table, CancelToken);
    impl FrozenTable for Cancelling {
        fn entries(
            &self,
            group: KeyGroup,
            visit: &mut dyn FnMut(Entry<'_>) -> Result<(), StateError>,
        ) -> Result<(), StateError> {
            if group.get() == GROUPS / 2 {
                self.1.cancel();
            }
            self.0.entries(group, visit)
        }
    }
    let (storage, cancel) = (MemoryStorage::new(), CancelToken::new());
    let table = Cancelling(Table { keys: 30_000, item_length: 80 }, cancel.clone());
    let [state, _] = states();
    let job = CanonicalSnapshot::new(&context(), vec![(state, Box::new(table))]);
    let path = StoragePath::new("savepoint-1").unwrap();
    let target = SnapshotTarget {
        checkpoint: CheckpointId::FIRST,
        attempt: AttemptId::new(3),
        storage: &storage,
        exclusive: &path,
        shared: &path,
    };
    let result = Box::new(job).run(&target, &cancel);
    assert!(matches!(result, Err(StateError::Cancelled)), "{result:?}");
    assert_eq!(storage.list(&path).unwrap(), []);
}
