//! Segments: how fast keys are found, entries written, files opened.
//!
//! `TIDEGATE_BENCH_KEYS` says with how many keys, 1,000,000 unless told. Values have 64 bytes.

use std::fs::File;
use std::hint::black_box;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hashbrown::HashMap;
use tidegate_segment::{Change, KeyedEntry, Lookup, Origin, Segment, SegmentWriter};
use tidegate_types::{
    AttemptId, CheckpointId, KeyGroup, KeyGroupRange, KeyHash, MaxParallelism, RegisteredState,
    StateKey as _, StateKind,
};

type Value = [u8; 64];

fn keys() -> u64 {
    std::env::var("TIDEGATE_BENCH_KEYS")
        .map_or(1_000_000, |keys| keys.parse().expect("TIDEGATE_BENCH_KEYS is a number"))
}

/// Every key once in an order that no cache foresees: an odd step through a power of two.
fn shuffled(count: u64) -> impl Iterator<Item = u64> {
    let size = count.next_power_of_two();
    (0..size).map(move |n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % size).filter(move |n| *n < count)
}

/// Ends with zeros, which the compiler does not know: so that the next key can depend on it.
fn value(key: u64) -> Value {
    std::array::from_fn(|at| if at < 56 { key.to_le_bytes()[at % 8] } else { 0 })
}

fn origin() -> Origin {
    let max_parallelism = MaxParallelism::DEFAULT;
    let group = KeyGroup::new;
    let key_groups = KeyGroupRange::new(group(0), group(max_parallelism.get() - 1));
    Origin {
        checkpoint: CheckpointId::FIRST,
        attempt: AttemptId::new(0),
        max_parallelism,
        key_groups: key_groups.expect("it begins before it ends"),
    }
}

fn counts() -> RegisteredState {
    let (name, types) = ("counts".into(), "u64 -> [u8; 64]".into());
    RegisteredState { name, kind: StateKind::Value, fingerprint: 1, schema_version: 0, types }
}

fn sorted(count: u64) -> Vec<(KeyHash, u64)> {
    let mut rows: Vec<_> = (0..count).map(|key| (key.key_hash(), key)).collect();
    rows.sort_unstable();
    rows
}

fn write(rows: &[(KeyHash, u64)], path: &Path) -> u64 {
    let file = File::create(path).expect("a temporary directory can be written to");
    let mut writer = SegmentWriter::new(file, origin()).expect("there is room");
    writer.begin_state(&counts()).expect("there is room");
    for (hash, key) in rows {
        let (bytes, value) = (key.to_le_bytes(), value(*key));
        let entry = KeyedEntry { hash: *hash, key: &bytes, change: Change::Put(&value) };
        writer.write(&entry).expect("there is room");
    }
    let (file, summary) = writer.finish().expect("there is room");
    file.sync_all().expect("the disk works");
    summary.length
}

fn write_raw(length: u64, path: &Path) {
    let mut file = File::create(path).expect("a temporary directory can be written to");
    let block = vec![0x5A; 1 << 20];
    let mut left = usize::try_from(length).expect("it was in memory");
    while left > 0 {
        let now = left.min(block.len());
        file.write_all(&block[..now]).expect("there is room");
        left -= now;
    }
    file.sync_all().expect("the disk works");
}

fn written(directory: &Path) -> PathBuf {
    let path = directory.join("segment");
    println!("{} keys, {} bytes", keys(), write(&sorted(keys()), &path));
    path
}

fn look_up(c: &mut Criterion) {
    let directory = tempfile::tempdir().expect("there is a temporary directory");
    let segment = Segment::open(&written(directory.path())).expect("it was just written");
    let state = segment.state("counts").expect("it was just written");
    let get = |key: u64| {
        let found = segment.get(state, key.key_hash(), &key.to_le_bytes());
        found.expect("the file is whole")
    };
    let mut map = HashMap::with_hasher(ByKeyHash::default());
    map.extend((0..keys()).map(|key| (key, value(key))));
    let order: Vec<u64> = shuffled(keys()).collect();
    // Each look-up waits for the one before: how long one takes, not how many can overlap.
    let mut group = c.benchmark_group("look_up");
    let (mut next, mut last) = (order.iter().cycle(), 0);
    let mut following = |last: u8| next.next().expect("it is endless") ^ u64::from(last);
    group.bench_function("segment, present", |b| {
        b.iter(|| match get(following(last)) {
            Lookup::Found(value) => last = value[63],
            other => panic!("{other:?}"),
        });
    });
    group.bench_function("hashbrown, present", |b| {
        b.iter(|| last = map.get(&following(last)).expect("it is there")[63]);
    });
    group.bench_function("segment, absent", |b| {
        b.iter(|| last = u8::from(get(keys() + following(last)) != Lookup::Absent));
    });
    group.bench_function("hashbrown, absent", |b| {
        b.iter(|| last = u8::from(map.contains_key(&(keys() + following(last)))));
    });
    group.finish();
}

/// The hash of the state's keys, for hashbrown.
#[derive(Clone, Default)]
struct ByKeyHash(u64);

impl std::hash::Hasher for ByKeyHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are u64")
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key.key_hash().get();
    }
}

impl std::hash::BuildHasher for ByKeyHash {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

fn write_and_sync(c: &mut Criterion) {
    let directory = tempfile::tempdir_in(".").expect("the disk can be written to");
    let path = directory.path().join("segment");
    let rows = sorted(keys());
    let length = write(&rows, &path);
    let mut group = c.benchmark_group("write_and_sync");
    group.throughput(Throughput::Bytes(length)).sample_size(10);
    group.bench_function("segment", |b| b.iter(|| write(&rows, &path)));
    group.bench_function("raw", |b| b.iter(|| write_raw(length, &path)));
    group.finish();
}

fn open(c: &mut Criterion) {
    let directory = tempfile::tempdir().expect("there is a temporary directory");
    let path = written(directory.path());
    let key = keys() / 2;
    let mut group = c.benchmark_group("open");
    group.bench_function("and read one key", |b| {
        b.iter(|| {
            let segment = Segment::open(&path).expect("it was just written");
            let state = segment.state("counts").expect("it was just written");
            let found = segment.get(state, key.key_hash(), &key.to_le_bytes());
            black_box(found.expect("the file is whole").found().map(|value| value[0]))
        });
    });
    group.finish();
}

criterion_group!(benches, look_up, write_and_sync, open);
criterion_main!(benches);
