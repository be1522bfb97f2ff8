//! One segment, many threads, first touch of every chunk at once.

use std::sync::Barrier;

use tidegate_segment::{Lookup, Segment};
use tidegate_types::KeyHash;

use crate::model::{Layer, open, origin};

fn many() -> Layer {
    let mut layer = Layer::default();
    for number in 0..20_000_u32 {
        layer.values.insert(number.to_le_bytes().to_vec(), Some(number.to_be_bytes().repeat(8)));
    }
    layer
}

/// Reads all keys in 8 threads that begin together, each in its own order; how many failed.
fn read_all(segment: &Segment) -> Vec<usize> {
    let (values, barrier) = (segment.state("values").unwrap(), Barrier::new(8));
    std::thread::scope(|scope| {
        let threads = [1_u32, 3, 7, 9, 11, 13, 17, 19].map(|step| {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                let mut failed = 0;
                for index in 0..20_000_u32 {
                    let number = index * step % 20_000;
                    let key = number.to_le_bytes();
                    match segment.get(values, KeyHash::of_bytes(&key), &key) {
                        Ok(found) => {
                            assert_eq!(found, Lookup::Found(&number.to_be_bytes().repeat(8)));
                        }
                        Err(_) => failed += 1,
                    }
                }
                failed
            })
        });
        threads.map(|thread| thread.join().unwrap()).to_vec()
    })
}

#[test]
fn threads_that_touch_chunks_first_at_once_all_read_the_same() {
    let bytes = many().write(16);
    for _ in 0..20 {
        assert_eq!(read_all(&open(&bytes).unwrap()), [0; 8]);
    }
}

#[test]
fn no_thread_reads_a_damaged_chunk_that_another_one_touched_first() {
    let bytes = many().write(16);
    for at in [20_000, 300_000, 500_000] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let failed = read_all(&open(&damaged).unwrap());
        assert!(failed[0] > 0 && failed.iter().all(|n| *n == failed[0]), "{failed:?}");
        assert!(failed[0] < 2000, "only what is in the chunk: {failed:?}");
    }
}

#[test]
fn a_range_of_key_groups_does_not_need_the_others() {
    let bytes = many().write(16);
    let groups = |first, last| {
        let group = tidegate_types::KeyGroup::new;
        tidegate_types::KeyGroupRange::new(group(first), group(last)).unwrap()
    };
    // Damage in the last key groups is no matter of the first ones.
    let mut damaged = bytes.clone();
    damaged[bytes.len() - 20_000] ^= 1;
    let segment = open(&damaged).unwrap();
    segment.verify(groups(0, 13)).unwrap();
    assert!(segment.verify(groups(14, 15)).is_err());
    let values = segment.state("values").unwrap();
    let part = segment.statistics(values, groups(0, 7)).keys;
    let other = segment.statistics(values, groups(8, 15)).keys;
    assert_eq!(part + other, 20_000);
    assert_eq!(segment.statistics(values, origin(16).key_groups).puts, 20_000);
    assert_eq!(segment.key_groups(values).count(), 16);
}
