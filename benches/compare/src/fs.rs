//! The fs backend.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tidegate_state::{
    CancelToken, KeyedContext, KeyedState, RestoredFile, RestoredKeyedState, SnapshotJob,
    SnapshotResult, SnapshotTarget, StateSource, ValueRef, ValueState, ValueStateDescriptor,
};
use tidegate_state_fs::{FsStateBackend, FsStateConfig};
use tidegate_store::{CheckpointStorage, FsStorage, StoragePath};
use tidegate_types::{
    AttemptId, CheckpointId, KeyGroupRange, MaxParallelism, OperatorUid, Parallelism, SnapshotKind,
    StateHandle, StateKey, Subtask,
};

use crate::trace::{Row, bandwidth, cpu, keys, operations, per, row, timed, value};

const WHO: &str = "tidegate fs";

pub(crate) struct Job {
    storage: Arc<dyn CheckpointStorage>,
    backend: FsStateBackend,
    pub(crate) state: KeyedState<u64>,
    pub(crate) value: ValueState<[u8; 64]>,
    next: CheckpointId,
}

/// Where a checkpoint goes.
pub(crate) struct Place {
    id: CheckpointId,
    storage: Arc<dyn CheckpointStorage>,
    exclusive: StoragePath,
    shared: StoragePath,
}

impl Place {
    pub(crate) fn run(&self, job: Box<dyn SnapshotJob>) -> Result<SnapshotResult> {
        let target = SnapshotTarget {
            checkpoint: self.id,
            attempt: AttemptId::new(1),
            storage: &*self.storage,
            exclusive: &self.exclusive,
            shared: &self.shared,
        };
        Ok(job.run(&target, &CancelToken::new())?)
    }
}

fn context() -> KeyedContext {
    let max_parallelism = MaxParallelism::DEFAULT;
    let subtask = Subtask::new(0, Parallelism::ONE);
    KeyedContext {
        operator: OperatorUid::new("compare").expect("a valid uid"),
        subtask,
        max_parallelism,
        key_groups: KeyGroupRange::of_subtask(max_parallelism, subtask),
        attempt: AttemptId::new(1),
    }
}

impl Job {
    pub(crate) fn new(directory: &std::path::Path, overlay_max_bytes: u64) -> Result<Self> {
        let storage: Arc<dyn CheckpointStorage> = Arc::new(FsStorage::open(directory)?);
        let config = FsStateConfig { overlay_max_bytes, ..FsStateConfig::default() };
        let backend = FsStateBackend::in_checkpoint_directory()
            .with_config(config)
            .with_working_directory(Arc::clone(&storage), StoragePath::new("job/taskowned")?);
        let mut state = KeyedState::open(&backend, &context(), Vec::new())?;
        let value = state.value(ValueStateDescriptor::new("value"))?;
        Ok(Self { storage, backend, state, value, next: CheckpointId::FIRST })
    }

    pub(crate) fn put(&self, key: u64, round: u64) -> Result<()> {
        self.set(key, value(key, round))
    }

    pub(crate) fn set(&self, key: u64, value: [u8; 64]) -> Result<()> {
        self.state.set_current_key(key, key.key_hash());
        Ok(self.value.put(value)?)
    }

    pub(crate) fn get(&self, key: u64) -> Result<Option<[u8; 64]>> {
        self.state.set_current_key(key, key.key_hash());
        Ok(self.value.get()?)
    }

    pub(crate) fn read(&self, key: u64) -> Result<Option<u8>> {
        self.state.set_current_key(key, key.key_hash());
        Ok(self.value.read(|value| {
            value.map(|value| match value {
                ValueRef::Native(value) | ValueRef::Archived(value) => value[7],
            })
        })?)
    }

    pub(crate) fn update(&self, key: u64, round: u64) -> Result<()> {
        self.state.set_current_key(key, key.key_hash());
        Ok(self.value.update(|value| {
            value.as_mut().expect("it was put")[8] ^= round.to_le_bytes()[0];
        })?)
    }

    pub(crate) fn freeze(&mut self) -> Result<(CheckpointId, Box<dyn SnapshotJob>)> {
        let id = self.next;
        self.next = id.next();
        Ok((id, self.state.snapshot(id, SnapshotKind::Checkpoint)?))
    }

    /// Where a checkpoint goes.
    pub(crate) fn place(&self, id: CheckpointId) -> Result<Place> {
        let exclusive = StoragePath::new(&format!("job/chk-{id}"))?;
        let shared = StoragePath::new("job/shared")?;
        Ok(Place { id, storage: Arc::clone(&self.storage), exclusive, shared })
    }

    pub(crate) fn write(
        &mut self,
        id: CheckpointId,
        job: Box<dyn SnapshotJob>,
    ) -> Result<SnapshotResult> {
        let result = self.place(id)?.run(job)?;
        self.state.notify_complete(id);
        self.state.maintain()?;
        Ok(result)
    }

    /// Drops the state, which keeps files mapped, and what the system has in memory of a checkpoint's.
    fn without_cache(self, result: &SnapshotResult) -> Result<Self> {
        let Self { storage, backend, state, value, next } = self;
        drop((state, value));
        for file in &result.keyed[0].shared {
            let path = StoragePath::new("job")?.join(file.file.reference.as_str())?;
            let path = storage.local_path(&path).expect("a local store");
            let file = std::fs::File::open(path)?;
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        }
        let mut state = KeyedState::open(&backend, &context(), Vec::new())?;
        let value = state.value(ValueStateDescriptor::new("value"))?;
        Ok(Self { storage, backend, state, value, next })
    }

    /// Another process's first read.
    fn restore(&self, result: &SnapshotResult, key: u64) -> Result<u8> {
        let handle = result.keyed[0].clone();
        let StateHandle::Inline(manifest) = &handle.manifest else { anyhow::bail!("not inline") };
        let mut shared = Vec::new();
        for file in &handle.shared {
            let path = StoragePath::new("job")?.join(file.file.reference.as_str())?;
            shared.push(RestoredFile { storage: Arc::clone(&self.storage), path });
        }
        let manifest = StateSource::from(Arc::clone(manifest));
        let registered = result.registered.clone();
        let restored =
            RestoredKeyedState { handle, manifest, registered, shared, may_be_shared: false };
        let mut state = KeyedState::open(&self.backend, &context(), vec![restored])?;
        let level = state.value(ValueStateDescriptor::<[u8; 64]>::new("value"))?;
        state.set_current_key(key, key.key_hash());
        Ok(level.get()?.map_or(0, |value| value[7]))
    }
}

pub(crate) fn measure(count: u64) -> Result<Vec<Row>> {
    let directory = tempfile::tempdir()?;
    let mut job = Job::new(directory.path(), u64::MAX)?;
    let mut rows = Vec::new();
    let started = cpu();
    (0..count).try_for_each(|key| job.put(key, 0))?;
    rows.push(row(WHO, "first put, cpu", per(cpu() - started, count)));
    let ops = operations(count);
    let started = cpu();
    keys(count, 1).take(ops as usize).try_for_each(|key| job.put(key, 1))?;
    rows.push(row(WHO, "hot overwrite, cpu", per(cpu() - started, ops)));
    let started = cpu();
    let mut sum = 0;
    for key in keys(count, 2).take(ops as usize) {
        sum += u64::from(job.get(key)?.map_or(0, |value| value[7]));
    }
    rows.push(row(WHO, "hot get, cpu", per(cpu() - started, ops)));

    let (frozen, pause) = timed(|| job.freeze());
    let (id, frozen) = frozen?;
    rows.push(row(WHO, "first checkpoint: pause", format!("{pause:.1?}")));
    let on_cpu = cpu();
    let (result, whole) = timed(|| job.write(id, frozen));
    let (result, on_cpu) = (result?, cpu() - on_cpu);
    let bytes = result.keyed[0].shared.iter().map(|shared| shared.file.length).sum();
    let each = bytes as f64 / count as f64;
    rows.push(row(WHO, "first checkpoint: bytes per entry", format!("{each:.1}")));
    rows.push(row(WHO, "first checkpoint: to durable", format!("{whole:.1?}")));
    rows.push(row(WHO, "first checkpoint: cpu", format!("{on_cpu:.1?}")));
    rows.push(row(WHO, "first checkpoint: bandwidth", bandwidth(bytes, whole)));
    let (raw, took) = timed(|| raw_write(directory.path(), bytes));
    raw?;
    rows.push(row("raw file", "write + fsync of as many bytes", bandwidth(bytes, took)));

    let started = cpu();
    for key in keys(count, 3).take(ops as usize) {
        sum += u64::from(job.get(key)?.map_or(0, |value| value[7]));
    }
    rows.push(row(WHO, "get out of a segment, cpu", per(cpu() - started, ops)));
    let started = cpu();
    for key in keys(count, 4).take((count / 2) as usize) {
        job.state.set_current_key(key, key.key_hash());
        job.value.update(|value| {
            if let Some(value) = value {
                value[0] ^= 1;
            }
        })?;
    }
    rows.push(row(WHO, "update out of a segment, cpu", per(cpu() - started, count / 2)));
    let (id, frozen) = job.freeze()?;
    job.write(id, frozen)?;
    rows.extend(changes(&mut job, count)?);
    let newest = pauses(&mut job, count, &mut rows)?;
    for is_cold in [false, true] {
        let mut times = Vec::new();
        for round in 0..9 {
            if is_cold {
                job = job.without_cache(&newest)?;
            }
            let (first, took) = timed(|| job.restore(&newest, round * 7 % count));
            sum += u64::from(first?);
            times.push(took);
        }
        times.sort_unstable();
        let cache = if is_cold { "cold" } else { "warm" };
        let what = format!("restore to first read, {cache} cache, median");
        rows.push(row(WHO, &what, format!("{:.1?}", times[4])));
    }
    std::hint::black_box(sum);
    Ok(rows)
}

/// One key in a hundred changes.
fn changes(job: &mut Job, count: u64) -> Result<Vec<Row>> {
    let changed = count / 100;
    let mut rows = Vec::new();
    let shared = |result: &SnapshotResult| {
        let files = result.keyed[0].shared.iter().map(|shared| shared.file.clone());
        files.collect::<std::collections::BTreeSet<_>>()
    };
    let (id, frozen) = job.freeze()?;
    let before = shared(&job.write(id, frozen)?);
    (0..changed).try_for_each(|key| job.put(key * 100, 9))?;
    let (id, frozen) = job.freeze()?;
    let (result, took) = timed(|| job.write(id, frozen));
    let new: u64 = shared(&result?).difference(&before).map(|file| file.length).sum();
    let ratio = new as f64 / (changed * 72) as f64;
    rows.push(row(WHO, "1 % changed: bytes / changed bytes", format!("{ratio:.2}")));
    rows.push(row(WHO, "1 % changed: to durable", format!("{took:.1?}")));
    Ok(rows)
}

/// The pause of many checkpoints with changes in between.
fn pauses(job: &mut Job, count: u64, rows: &mut Vec<Row>) -> Result<SnapshotResult> {
    let (mut pauses, mut cpus, mut newest) = (Vec::new(), Vec::new(), None);
    for round in 0..120 {
        keys(count, round + 20).take(5_000).try_for_each(|key| job.put(key, round))?;
        let on_cpu = cpu();
        let (frozen, pause) = timed(|| job.freeze());
        cpus.push(cpu() - on_cpu);
        pauses.push(pause);
        let (id, frozen) = frozen?;
        newest = Some(job.write(id, frozen)?);
    }
    for (what, mut times) in [("pause", pauses), ("pause, cpu", cpus)] {
        times.sort_unstable();
        let at = |percent: usize| -> Duration { times[(times.len() - 1) * percent / 100] };
        let value = format!("{:.1?} / {:.1?} / {:.1?}", at(50), at(99), at(100));
        rows.push(row(WHO, &format!("120 checkpoints: {what} p50 / p99 / max"), value));
    }
    Ok(newest.expect("there were some"))
}

fn raw_write(directory: &std::path::Path, bytes: u64) -> Result<()> {
    let mut file = std::fs::File::create(directory.join("raw"))?;
    let block = vec![0x5A; 1 << 20];
    let mut left = bytes;
    while left > 0 {
        let piece = left.min(block.len() as u64);
        file.write_all(&block[..piece as usize])?;
        left -= piece;
    }
    Ok(file.sync_all()?)
}
