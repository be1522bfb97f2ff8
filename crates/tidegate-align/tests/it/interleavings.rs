//! Three channels, two checkpoints: every script, and every order in which its words can be read,
//! announcements heard, timers run down and checkpoints given up. Above that size, random walks.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use tidegate_align::AlignmentMode;

use crate::world::{Script, Step, Word, World};

const TIMED: AlignmentMode = AlignmentMode::AlignedWithTimeout { timeout: Duration::ZERO };

/// What a sender may do with checkpoints 1 and 2: deliver, cancel or leave out each; with data
/// before, between and after them, and an end or none.
fn scripts(barrier: fn(u64) -> Word, data: [bool; 3]) -> Vec<Script> {
    let choices = |n| [None, Some(barrier(n)), Some(Word::Cancelled(n))];
    let mut scripts = Vec::new();
    for first in choices(1) {
        for second in choices(2) {
            let mut script = Vec::new();
            script.extend(data[0].then_some(Word::Data));
            script.extend(first);
            script.extend(data[1].then_some(Word::Data));
            script.extend(second);
            script.extend(data[2].then_some(Word::Data));
            script.push(Word::End);
            scripts.push(script);
        }
    }
    scripts
}

/// `cargo xtask soak` has the time for all of it.
fn everything() -> bool {
    std::env::var_os("TIDEGATE_EXHAUSTIVE").is_some()
}

struct Explorer<'a> {
    scripts: &'a [Script; 3],
    mode: AlignmentMode,
    give_up: Option<u64>,
    /// Digests of the worlds that were visited.
    seen: HashSet<u64>,
}

impl Explorer<'_> {
    fn explore(&mut self, world: &World<3, 2>) {
        let steps = world.steps(self.scripts, self.give_up);
        // A timer and the coordinator may also stay silent: the end is where nothing else is left.
        if !steps.iter().any(|step| matches!(step, Step::Take(_) | Step::Hear(_))) {
            world.judge(self.scripts, self.mode);
        }
        for step in steps {
            let mut next = world.clone();
            next.step(self.scripts, step);
            if self.seen.insert(BuildHasherDefault::<DefaultHasher>::default().hash_one(&next)) {
                self.explore(&next);
            }
        }
    }
}

/// Every choice of scripts up to a renaming of the channels, which the alignment treats alike.
fn explore_all(mode: AlignmentMode, barrier: fn(u64) -> Word, data: [bool; 3]) -> usize {
    let all = scripts(barrier, data);
    // Announcements come in any order relative to everything else, which multiplies the orders: of
    // one channel both barriers come then, unless there is time.
    let full = barrier(1) != Word::Announced(1) || everything();
    let give_up: &[_] = if full { &[None, Some(1), Some(2)] } else { &[None] };
    let whole = |script: &Script| script.contains(&barrier(1)) && script.contains(&barrier(2));
    let mut states = 0;
    for a in 0..all.len() {
        for b in a..all.len() {
            for c in (0..all.len()).filter(|c| if full { *c >= b } else { whole(&all[*c]) }) {
                let scripts = [all[a].clone(), all[b].clone(), all[c].clone()];
                for give_up in give_up {
                    let world = World::new(mode);
                    let mut explorer = Explorer {
                        scripts: &scripts,
                        mode,
                        give_up: *give_up,
                        seen: HashSet::new(),
                    };
                    explorer.explore(&world);
                    states += explorer.seen.len();
                }
            }
        }
    }
    println!("{mode:?}: {states} states");
    states
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % n as u64).unwrap()
    }
}

/// A script of up to six checkpoints: most delivered, announced or not, some left out or
/// cancelled; data between them; usually an end.
fn random_script(random: &mut Random) -> Script {
    let mut script = Vec::new();
    for n in 1..=6 {
        script.extend((0..random.below(3)).map(|_| Word::Data));
        script.extend(match random.below(12) {
            0 => None,
            1 => Some(Word::Cancelled(n)),
            2..=5 => Some(Word::Barrier(n)),
            _ => Some(Word::Announced(n)),
        });
    }
    script.extend((0..random.below(3)).map(|_| Word::Data));
    script.extend((random.below(8) > 0).then_some(Word::End));
    script
}

// Five channels, six checkpoints. `TIDEGATE_SEED` repeats the walks of a failed run.
#[test]
fn random_walks_keep_the_cut_in_every_mode() {
    let seed = std::env::var("TIDEGATE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        u64::from(now.subsec_nanos()) ^ now.as_secs()
    });
    println!("TIDEGATE_SEED={seed}");
    let mut random = Random(seed);
    let modes =
        [AlignmentMode::ExactlyOnce, AlignmentMode::AtLeastOnce, AlignmentMode::Unaligned, TIMED];
    for walk in 0..if everything() { 1_000_000 } else { 20_000 } {
        let mode = modes[walk % modes.len()];
        let scripts: [Script; 5] = std::array::from_fn(|_| random_script(&mut random));
        let give_up = [None, Some(random.below(6) as u64 + 1)][random.below(2)];
        let mut world = World::<5, 6>::new(mode);
        loop {
            let steps = world.steps(&scripts, give_up);
            if !steps.iter().any(|step| matches!(step, Step::Take(_) | Step::Hear(_))) {
                break;
            }
            world.step(&scripts, steps[random.below(steps.len())]);
        }
        world.judge(&scripts, mode);
    }
}

#[test]
fn every_interleaving_keeps_the_cut_exactly_once() {
    let states = explore_all(AlignmentMode::ExactlyOnce, Word::Barrier, [true; 3]);
    assert!(states > 200_000, "only {states} states were visited");
}

#[test]
fn every_interleaving_loses_nothing_at_least_once() {
    let states = explore_all(AlignmentMode::AtLeastOnce, Word::Barrier, [true; 3]);
    assert!(states > 200_000, "only {states} states were visited");
}

// Over channels of the user's own, which announce nothing.
#[test]
fn every_interleaving_keeps_the_cut_unaligned_in_place() {
    let states = explore_all(AlignmentMode::Unaligned, Word::Barrier, [true; 3]);
    assert!(states > 200_000, "only {states} states were visited");
}

#[test]
fn every_interleaving_keeps_the_cut_unaligned_and_announced() {
    let states =
        explore_all(AlignmentMode::Unaligned, Word::Announced, [true, everything(), false]);
    assert!(states > 200_000, "only {states} states were visited");
}

#[test]
fn every_interleaving_keeps_the_cut_with_a_timeout_at_any_instant() {
    let states = explore_all(TIMED, Word::Barrier, [true, true, false]);
    assert!(states > 200_000, "only {states} states were visited");
}

#[test]
fn every_interleaving_keeps_the_cut_announced_and_with_a_timeout_at_any_instant() {
    let states = explore_all(TIMED, Word::Announced, [true, everything(), false]);
    assert!(states > 200_000, "only {states} states were visited");
}

#[test]
fn every_interleaving_of_savepoints_is_aligned_in_every_mode() {
    for mode in [AlignmentMode::Unaligned, TIMED] {
        let states = explore_all(mode, Word::Savepoint, [true, true, false]);
        assert!(states > 20_000, "only {states} states were visited");
    }
}
