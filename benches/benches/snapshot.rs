//! What does a snapshot of the memory backend cost: on the task's thread (the freeze, and the first
//! write to each key group after it, which copies the group), and on the snapshot's?

use std::cell::RefCell;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tidegate_benches::{Random, counts, open, run};
use tidegate_types::{CheckpointId, MaxParallelism, SnapshotKind, StateKey};

fn benchmark(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("snapshot");
    group.sample_size(20);
    for size in [10_000_usize, 100_000, 1_000_000] {
        let keys = Random::new(1).distinct(size);
        let mut state = open::<u64>();
        let count = counts(&mut state, &keys);
        let state = RefCell::new(state);
        let freeze = || {
            let frozen = state.borrow_mut().snapshot(CheckpointId::FIRST, SnapshotKind::Checkpoint);
            frozen.expect("the memory backend freezes")
        };

        // Not per key: it is meant not to depend on their number.
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("freeze", size), |b| {
            b.iter_with_large_drop(freeze);
        });
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::new("job", size), |b| {
            b.iter_batched(freeze, run, BatchSize::PerIteration);
        });
        let first_of_groups = one_of_each_group(&keys);
        group.bench_function(BenchmarkId::new("first writes", size), |b| {
            b.iter_batched(
                freeze,
                |frozen| {
                    for key in &first_of_groups {
                        state.borrow().set_current_key(*key, key.key_hash());
                        count.put(2).expect("there is a current key");
                    }
                    frozen
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn one_of_each_group(keys: &[u64]) -> Vec<u64> {
    let group_of = |key: &u64| MaxParallelism::DEFAULT.key_group_of(key.key_hash());
    let mut keys = keys.to_vec();
    keys.sort_unstable_by_key(group_of);
    keys.dedup_by_key(|key| group_of(key));
    keys
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
