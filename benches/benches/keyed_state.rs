//! What do reads and writes of keyed state cost in the memory backend, next to a bare hash map?
//!
//! Both sides hash the key each time; in a job the exchange has done that already.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hashbrown::HashMap;
use tidegate_benches::{Random, counts, open};
use tidegate_types::StateKey;

const KEYS: usize = 100_000;
const OPERATIONS: usize = 10_000;

fn numbers(criterion: &mut Criterion) {
    compare(criterion, "keyed state/u64", &Random::new(1).distinct(KEYS));
}

fn words(criterion: &mut Criterion) {
    let word = |number: u64| format!("word-{:x}", number >> 32);
    let words: Vec<_> = Random::new(1).distinct(KEYS).into_iter().map(word).collect();
    compare(criterion, "keyed state/String", &words);
}

fn compare<K: StateKey>(criterion: &mut Criterion, name: &str, keys: &[K]) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(OPERATIONS as u64));
    let places = Random::new(2).places(OPERATIONS, keys.len());
    let chosen: Vec<K> = places.into_iter().map(|place| keys[place].clone()).collect();

    let mut state = open::<K>();
    let count = counts(&mut state, keys);
    group.bench_function("get", |b| {
        b.iter(|| {
            for key in &chosen {
                state.set_current_key(key.clone(), key.key_hash());
                black_box(count.get().expect("there is a current key"));
            }
        });
    });
    group.bench_function("update", |b| {
        b.iter(|| {
            for key in &chosen {
                state.set_current_key(key.clone(), key.key_hash());
                let add = |count: &mut Option<u64>| *count = Some(count.unwrap_or(0) + 1);
                count.update(add).expect("there is a current key");
            }
        });
    });

    let mut map: HashMap<K, u64> = keys.iter().map(|key| (key.clone(), 1)).collect();
    group.bench_function("get from a map", |b| {
        b.iter(|| {
            for key in &chosen {
                black_box(map.get(&key.clone()).copied());
            }
        });
    });
    group.bench_function("update a map", |b| {
        b.iter(|| {
            for key in &chosen {
                *map.entry(key.clone()).or_insert(0) += 1;
            }
        });
    });
    group.finish();
}

criterion_group!(benches, numbers, words);
criterion_main!(benches);
