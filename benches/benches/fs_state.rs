//! The fs backend: what a checkpoint holds up, what reads and writes cost beside a bare hash map,
//! what an incremental checkpoint writes, how long a restore takes to its first read.
//!
//! `TIDEGATE_BENCH_KEYS=10000000` adds a size. `benches/compare` has the same beside other systems.

use std::hash::{BuildHasherDefault, Hasher};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hashbrown::HashMap;
use tempfile::TempDir;
use tidegate_state::{
    CancelToken, KeyedContext, KeyedState, RestoredFile, RestoredKeyedState, SnapshotJob,
    SnapshotResult, SnapshotTarget, StateSource, ValueState, ValueStateDescriptor,
};
use tidegate_state_fs::{FsStateBackend, FsStateConfig};
use tidegate_store::{CheckpointStorage, FsStorage, StoragePath};
use tidegate_types::{
    AttemptId, CheckpointId, KeyGroupRange, KeyHash, MaxParallelism, OperatorUid, Parallelism,
    SharedFile, SnapshotKind, StateHandle, StateKey, Subtask,
};

const WORKS: &str = "the benchmark's own files work";

fn sizes() -> Vec<u64> {
    let more = std::env::var("TIDEGATE_BENCH_KEYS").ok().and_then(|n| n.parse().ok());
    [10_000, 1_000_000].into_iter().chain(more).collect()
}

struct Job {
    _directory: TempDir,
    storage: Arc<dyn CheckpointStorage>,
    backend: FsStateBackend,
    state: KeyedState<u64>,
    value: ValueState<[u8; 64]>,
    next: CheckpointId,
}

fn path(text: &str) -> StoragePath {
    StoragePath::new(text).expect(WORKS)
}

fn context() -> KeyedContext {
    let max_parallelism = MaxParallelism::DEFAULT;
    let subtask = Subtask::new(0, Parallelism::ONE);
    KeyedContext {
        operator: OperatorUid::new("bench").expect(WORKS),
        subtask,
        max_parallelism,
        key_groups: KeyGroupRange::of_subtask(max_parallelism, subtask),
        attempt: AttemptId::new(1),
    }
}

impl Job {
    fn with_keys(keys: u64) -> Self {
        let directory = tempfile::tempdir().expect(WORKS);
        let storage: Arc<dyn CheckpointStorage> =
            Arc::new(FsStorage::open(directory.path()).expect(WORKS));
        let config = FsStateConfig { overlay_max_bytes: u64::MAX, ..FsStateConfig::default() };
        let backend = FsStateBackend::in_checkpoint_directory()
            .with_config(config)
            .with_working_directory(Arc::clone(&storage), path("job/taskowned"));
        let mut state = KeyedState::open(&backend, &context(), Vec::new()).expect(WORKS);
        let value = state.value(ValueStateDescriptor::new("value")).expect(WORKS);
        let next = CheckpointId::FIRST;
        let job = Self { _directory: directory, storage, backend, state, value, next };
        (0..keys).for_each(|key| job.put(key, 0));
        job
    }

    fn put(&self, key: u64, round: u8) {
        self.state.set_current_key(key, key.key_hash());
        self.value.put([round; 64]).expect(WORKS);
    }

    fn get(&self, key: u64) -> Option<[u8; 64]> {
        self.state.set_current_key(key, key.key_hash());
        self.value.get().expect(WORKS)
    }

    fn freeze(&mut self) -> (CheckpointId, Box<dyn SnapshotJob>) {
        let id = self.next;
        self.next = id.next();
        (id, self.state.snapshot(id, SnapshotKind::Checkpoint).expect(WORKS))
    }

    fn write(&mut self, id: CheckpointId, job: Box<dyn SnapshotJob>) -> SnapshotResult {
        let (exclusive, shared) = (path(&format!("job/chk-{id}")), path("job/shared"));
        let target = SnapshotTarget {
            checkpoint: id,
            attempt: AttemptId::new(1),
            storage: &*self.storage,
            exclusive: &exclusive,
            shared: &shared,
        };
        let result = job.run(&target, &CancelToken::new()).expect(WORKS);
        self.state.notify_complete(id);
        self.state.maintain().expect(WORKS);
        result
    }

    fn checkpoint(&mut self) -> SnapshotResult {
        let (id, job) = self.freeze();
        self.write(id, job)
    }

    fn restored(&self, result: &SnapshotResult) -> RestoredKeyedState {
        let handle = result.keyed[0].clone();
        let StateHandle::Inline(manifest) = &handle.manifest else { unreachable!("it is small") };
        let manifest = StateSource::from(Arc::clone(manifest));
        let found = |shared: &SharedFile| RestoredFile {
            storage: Arc::clone(&self.storage),
            path: path("job").join(shared.file.reference.as_str()).expect(WORKS),
        };
        let shared = handle.shared.iter().map(found).collect();
        let registered = result.registered.clone();
        RestoredKeyedState { handle, manifest, registered, shared, may_be_shared: true }
    }
}

#[derive(Default)]
struct SameHasher(u64);

impl Hasher for SameHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = KeyHash::of_bytes(bytes).get();
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number.key_hash().get();
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Numbers below `limit` as chance has it.
fn random(limit: u64) -> impl FnMut() -> u64 {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_F491_4F6C_DD1D) % limit
    }
}

fn pause(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fs: pause of a checkpoint");
    group.sample_size(10).warm_up_time(Duration::from_millis(500));
    for keys in sizes() {
        let mut job = Job::with_keys(keys);
        job.checkpoint();
        let mut key = random(keys);
        group.bench_function(BenchmarkId::from_parameter(keys), |bencher| {
            bencher.iter_custom(|rounds| {
                let mut pauses = Duration::ZERO;
                for _ in 0..rounds {
                    (0..1_000).for_each(|_| job.put(key(), 1));
                    let started = Instant::now();
                    let (id, frozen) = job.freeze();
                    pauses += started.elapsed();
                    job.write(id, frozen);
                }
                pauses
            });
        });
    }
    group.finish();
}

fn operations(criterion: &mut Criterion) {
    for keys in sizes() {
        let mut group = criterion.benchmark_group(format!("fs: {keys} keys"));
        group.sample_size(20).throughput(Throughput::Elements(1));
        let mut map: HashMap<u64, [u8; 64], BuildHasherDefault<SameHasher>> = HashMap::default();
        map.extend((0..keys).map(|key| (key, [0; 64])));
        let mut key = random(keys);
        group.bench_function("put/hashbrown", |bencher| {
            bencher.iter(|| map.insert(key(), black_box([1; 64])));
        });
        group.bench_function("get/hashbrown", |bencher| bencher.iter(|| map.get(&key()).copied()));
        drop(map);
        let mut job = Job::with_keys(keys);
        group.bench_function("put/overlay", |bencher| bencher.iter(|| job.put(key(), 1)));
        group.bench_function("get/overlay", |bencher| bencher.iter(|| job.get(key())));
        job.checkpoint();
        group.bench_function("get/segment", |bencher| bencher.iter(|| job.get(key())));
        group.finish();
    }
}

fn snapshot(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fs: writing a checkpoint");
    group.sample_size(10).warm_up_time(Duration::from_millis(500));
    for keys in sizes() {
        group.throughput(Throughput::Bytes(keys * 72));
        let mut job = Job::with_keys(0);
        group.bench_function(BenchmarkId::new("all", keys), |bencher| {
            bencher.iter_custom(|rounds| {
                let mut written = Duration::ZERO;
                for _ in 0..rounds {
                    (0..keys).for_each(|key| job.put(key, 2));
                    let (id, frozen) = job.freeze();
                    let started = Instant::now();
                    job.write(id, frozen);
                    written += started.elapsed();
                }
                written
            });
        });
    }
    group.finish();
}

fn restore(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fs: restore to first read");
    group.sample_size(10);
    for keys in sizes() {
        let mut job = Job::with_keys(keys);
        let result = job.checkpoint();
        group.bench_function(BenchmarkId::from_parameter(keys), |bencher| {
            bencher.iter(|| {
                let restored = vec![job.restored(&result)];
                let mut state =
                    KeyedState::<u64>::open(&job.backend, &context(), restored).expect(WORKS);
                let value =
                    state.value(ValueStateDescriptor::<[u8; 64]>::new("value")).expect(WORKS);
                state.set_current_key(7, 7_u64.key_hash());
                value.get().expect(WORKS).expect("it was written")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, pause, operations, snapshot, restore);
criterion_main!(benches);
