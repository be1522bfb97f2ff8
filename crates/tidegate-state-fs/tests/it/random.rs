//! Whatever is done in whatever order: the fs backend says what the memory backend says.

use proptest::prelude::*;
use tidegate_state::{KeyedState, StateError, TimeDomain};
use tidegate_types::StateKey as _;

use crate::disk::Disk;
use crate::world::{Fate, States, World};

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u8),
    Append(u8, u8),
    Clear(u8),
    ListAdd(u8, u32),
    ListReplace(u8, u8),
    MapPut(u8, u8, u8),
    MapRemove(u8, u8),
    MapClear(u8),
    Fade(u8, u64),
    Later(u8),
    Timer(u8, i64),
    NoTimer(u8, i64),
    /// Deleted, registered, and deleted again.
    Flutter(u8, i64),
    Pop(i64),
    Compare(u8),
    CompareAll,
    Maintain,
    Checkpoint(Fate),
    Crash(u16),
    ResumeElsewhere(u16),
    Links(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..12_u8;
    let fate = prop_oneof![
        6 => Just(Fate::Complete),
        2 => Just(Fate::Aborted),
        1 => Just(Fate::Forgotten),
        2 => Just(Fate::Cancelled),
        2 => Just(Fate::Dropped),
        2 => Just(Fate::DiskFull),
    ];
    prop_oneof![
        8 => (key.clone(), any::<u8>()).prop_map(|(k, v)| Step::Put(k, v)),
        6 => (key.clone(), any::<u8>()).prop_map(|(k, v)| Step::Append(k, v)),
        3 => key.clone().prop_map(Step::Clear),
        5 => (key.clone(), any::<u32>()).prop_map(|(k, v)| Step::ListAdd(k, v)),
        2 => (key.clone(), 0..4_u8).prop_map(|(k, n)| Step::ListReplace(k, n)),
        6 => (key.clone(), 0..6_u8, any::<u8>()).prop_map(|(k, n, v)| Step::MapPut(k, n, v)),
        3 => (key.clone(), 0..6_u8).prop_map(|(k, n)| Step::MapRemove(k, n)),
        1 => key.clone().prop_map(Step::MapClear),
        3 => (key.clone(), any::<u64>()).prop_map(|(k, v)| Step::Fade(k, v)),
        2 => (1..40_u8).prop_map(Step::Later),
        // Few enough that the same timer is registered, deleted and popped again and again.
        6 => (0..3_u8, -2..4_i64).prop_map(|(k, t)| Step::Timer(k, t)),
        4 => (0..3_u8, -2..4_i64).prop_map(|(k, t)| Step::NoTimer(k, t)),
        3 => (0..3_u8, -2..4_i64).prop_map(|(k, t)| Step::Flutter(k, t)),
        3 => (-3..5_i64).prop_map(Step::Pop),
        6 => key.prop_map(Step::Compare),
        1 => Just(Step::CompareAll),
        4 => Just(Step::Maintain),
        8 => fate.prop_map(Step::Checkpoint),
        2 => (1..4_u16).prop_map(Step::Crash),
        1 => (1..4_u16).prop_map(Step::ResumeElsewhere),
        1 => any::<bool>().prop_map(Step::Links),
    ]
}

fn select(state: &KeyedState<u8>, key: u8) {
    state.set_current_key(key, key.key_hash());
}

/// What there is of a key.
type Seen = (Option<String>, Vec<u32>, Vec<(u8, String)>, Option<u64>);

fn seen(states: &States, key: u8) -> Seen {
    select(&states.keyed, key);
    (
        states.value.get().unwrap(),
        states.list.get().unwrap(),
        states.map.entries().unwrap(),
        states.fading.get().unwrap(),
    )
}

fn keys(states: &States) -> Vec<Vec<u8>> {
    let keys = |name: &str| {
        let mut keys = Vec::new();
        let collected = states.keyed.for_each_key(name, |key| {
            keys.push(*key);
            Ok::<_, StateError>(())
        });
        collected.unwrap();
        keys
    };
    ["value", "list", "map"].map(keys).to_vec()
}

fn compare_all(world: &World) {
    for worker in &world.workers {
        assert_eq!(keys(&worker.fs), keys(&worker.memory));
    }
    for key in 0..12 {
        let worker = world.worker(key);
        assert_eq!(seen(&worker.fs, key), seen(&worker.memory, key), "key {key}");
        for name in 0..6 {
            assert_eq!(worker.fs.map.get(&name).unwrap(), worker.memory.map.get(&name).unwrap());
        }
    }
}

fn pop(states: &mut States, time: i64) -> Vec<(i64, u8)> {
    let mut popped = Vec::new();
    while let Some(time) = states.keyed.pop_timer(TimeDomain::EventTime, time).unwrap() {
        popped.push((time, *states.keyed.current_key().unwrap()));
    }
    popped
}

fn change(states: &States, step: &Step) {
    match *step {
        Step::Put(_, v) => states.value.put("x".repeat(usize::from(v))).unwrap(),
        Step::Append(_, v) => states
            .value
            .update(|value| value.get_or_insert_default().push(char::from(v % 26 + b'a')))
            .unwrap(),
        Step::Clear(_) => states.value.clear().unwrap(),
        Step::ListAdd(_, v) => states.list.add(v).unwrap(),
        Step::ListReplace(_, n) => states.list.update((0..u32::from(n)).collect()).unwrap(),
        Step::MapPut(_, n, v) => states.map.put(n, format!("{n}:{v}")).unwrap(),
        Step::MapRemove(_, n) => drop(states.map.remove(&n).unwrap()),
        Step::MapClear(_) => states.map.clear().unwrap(),
        Step::Fade(_, v) => states.fading.put(v).unwrap(),
        Step::Timer(_, time) => states.keyed.register_timer(TimeDomain::EventTime, time),
        Step::NoTimer(_, time) => states.keyed.delete_timer(TimeDomain::EventTime, time),
        Step::Flutter(_, time) => {
            states.keyed.delete_timer(TimeDomain::EventTime, time);
            states.keyed.register_timer(TimeDomain::EventTime, time);
            states.keyed.delete_timer(TimeDomain::EventTime, time);
        }
        _ => unreachable!("{step:?} changes nothing under a key"),
    }
}

fn take(world: &mut World, step: &Step) {
    match *step {
        Step::Put(key, _)
        | Step::Append(key, _)
        | Step::Clear(key)
        | Step::ListAdd(key, _)
        | Step::ListReplace(key, _)
        | Step::MapPut(key, ..)
        | Step::MapRemove(key, _)
        | Step::MapClear(key)
        | Step::Fade(key, _)
        | Step::Timer(key, _)
        | Step::NoTimer(key, _)
        | Step::Flutter(key, _) => {
            let worker = world.worker(key);
            for states in [&worker.fs, &worker.memory] {
                select(&states.keyed, key);
                change(states, step);
            }
        }
        Step::Later(by) => world.set_time(world.now_ms + i64::from(by)),
        Step::Pop(time) => {
            for worker in &mut world.workers {
                let domain = TimeDomain::EventTime;
                let (fs, memory) = (&mut worker.fs, &mut worker.memory);
                assert_eq!(fs.keyed.next_timer(domain), memory.keyed.next_timer(domain));
                assert_eq!(pop(fs, time), pop(memory, time));
            }
        }
        Step::Compare(key) => {
            let worker = world.worker(key);
            assert_eq!(seen(&worker.fs, key), seen(&worker.memory, key), "key {key}");
        }
        Step::CompareAll => compare_all(world),
        Step::Maintain => {
            world.workers.iter_mut().for_each(|worker| worker.fs.keyed.maintain().unwrap());
        }
        Step::Checkpoint(fate) => world.checkpoint(fate),
        Step::Crash(parallelism) => world.reopen(parallelism),
        Step::ResumeElsewhere(parallelism) => world.resume_elsewhere(parallelism),
        Step::Links(links) => world.disk.set_links(links),
    }
}

/// Runs of `cargo test`, and as many as said in `TIDEGATE_RANDOM_CASES` (`cargo xtask soak`).
fn cases() -> u32 {
    let said = std::env::var("TIDEGATE_RANDOM_CASES").ok().and_then(|n| n.parse().ok());
    said.unwrap_or(48)
}

/// Nothing of this outlives a crash of the machine, so that the disk need not take part.
fn directory() -> tempfile::TempDir {
    let shared_memory = std::path::Path::new("/dev/shm");
    tempfile::tempdir_in(shared_memory).or_else(|_| tempfile::tempdir()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn it_agrees_with_the_memory_backend(
        steps in prop::collection::vec(step(), 1..250),
        retained in 1..4_usize,
    ) {
        let directory = directory();
        let mut world = World::new(Disk::new(directory.path()), true, retained);
        for step in &steps {
            take(&mut world, step);
        }
        compare_all(&world);
        take(&mut world, &Step::Pop(100));
        world.checkpoint(Fate::Complete);
        world.reopen(2);
        compare_all(&world);
    }
}
