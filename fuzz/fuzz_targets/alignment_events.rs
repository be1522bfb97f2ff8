//! The alignment in every mode, in one of two ways, as the first byte says.
//!
//! Scripts: what senders put into channels, in an order of reading that the fuzzer chooses, in the
//! naive world of the crate's own tests, whose judge computes from the scripts alone what every
//! checkpoint had to hold (`crates/tidegate-align/tests/it/world.rs`).
//!
//! Anything: events that no sender of ours would send, doubled, late, out of order. Nothing can be
//! said of what such a checkpoint holds, but each has one outcome and every action its reason.
#![no_main]

mod alignment;
#[path = "../../crates/tidegate-align/tests/it/world.rs"]
mod world;

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tidegate_align::AlignmentMode;
use tidegate_fuzz::Choices;
use tidegate_types::{Barrier, CheckpointId, SnapshotKind};

use alignment::anything;
use world::{Script, Step, Word, World};

const MODES: [AlignmentMode; 4] = [
    AlignmentMode::ExactlyOnce,
    AlignmentMode::AtLeastOnce,
    AlignmentMode::Unaligned,
    AlignmentMode::AlignedWithTimeout { timeout: Duration::ZERO },
];
const CHECKPOINTS: usize = 6;

fuzz_target!(|bytes: &[u8]| {
    let mut choices = Choices::new(bytes);
    let way = choices.byte();
    let mode = MODES[usize::from(way) % 4];
    let channels = 1 + usize::from(way) / 4 % 4;
    match (way < 128, channels) {
        (false, _) => anything(channels, mode, &mut choices),
        (true, 1) => scripts::<1>(mode, &mut choices),
        (true, 2) => scripts::<2>(mode, &mut choices),
        (true, 3) => scripts::<3>(mode, &mut choices),
        (true, _) => scripts::<4>(mode, &mut choices),
    }
});

/// As the world of the tests asks for it.
fn barrier(number: u64) -> Barrier {
    let checkpoint = CheckpointId::new(number).expect("numbered from 1");
    Barrier { checkpoint, kind: SnapshotKind::Checkpoint, triggered_at_ms: 0 }
}

fn scripts<const N: usize>(mode: AlignmentMode, choices: &mut Choices<'_>) {
    // A savepoint is one to everybody.
    let savepoint = 1 + choices.below(2 * CHECKPOINTS) as u64;
    let scripts: [Script; N] = std::array::from_fn(|_| script(savepoint, choices));
    let give_up = Some(choices.below(CHECKPOINTS + 1) as u64).filter(|checkpoint| *checkpoint > 0);
    let mut world = World::<N, CHECKPOINTS>::new(mode);
    loop {
        let steps = world.steps(&scripts, give_up);
        // Timers and the coordinator may also stay silent.
        if !steps.iter().any(|step| matches!(step, Step::Take(_) | Step::Hear(_))) {
            break;
        }
        world.step(&scripts, steps[choices.below(steps.len())]);
    }
    world.judge(&scripts, mode);
}

/// Each checkpoint delivered, announced, cancelled or left out; data between; an end, or silence.
fn script(savepoint: u64, choices: &mut Choices<'_>) -> Script {
    let mut script = Vec::new();
    for n in 1..=CHECKPOINTS as u64 {
        let choice = choices.byte();
        script.extend((0..choice / 64).map(|_| Word::Data));
        script.extend(match choice % 8 {
            0 => None,
            1 => Some(Word::Cancelled(n)),
            _ if n == savepoint => Some(Word::Savepoint(n)),
            2..=4 => Some(Word::Barrier(n)),
            _ => Some(Word::Announced(n)),
        });
    }
    let choice = choices.byte();
    script.extend((0..choice / 64).map(|_| Word::Data));
    script.extend((choice % 8 != 1).then_some(Word::End));
    script
}
