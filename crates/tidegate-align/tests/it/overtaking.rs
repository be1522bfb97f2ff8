//! Barriers that overtake, over real channels and threads.

use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, never, unbounded};
use proptest::prelude::*;
use tidegate_align::{AbortCause, AlignmentMode, GateEvent, InputGate, Output, channels};
use tidegate_types::CheckpointId;

use crate::barrier;

type Gate = InputGate<u64>;

fn gate(count: usize, capacity: usize, mode: AlignmentMode) -> (Vec<Output<u64>>, Gate) {
    let (outputs, inputs) = channels(count, capacity);
    (outputs, InputGate::over(inputs, mode))
}

fn next(gate: &mut Gate) -> GateEvent<u64, ()> {
    gate.next(&never(), Some(Instant::now() + Duration::from_millis(20)))
}

fn item(event: &GateEvent<u64, ()>) -> Option<u64> {
    if let GateEvent::Data { item, .. } = event { Some(*item) } else { None }
}

#[test]
fn a_barrier_overtakes_a_full_channel_and_what_it_overtakes_is_captured() {
    let (mut outputs, mut gate) = gate(2, 4, AlignmentMode::Unaligned);
    (0..4).for_each(|item| outputs[0].send(item).unwrap());
    (10..12).for_each(|item| outputs[1].send(item).unwrap());
    assert!(!outputs[0].has_room().unwrap());
    outputs[0].announced_barrier(barrier(1)).unwrap();
    // Not a record is handed out before.
    assert!(matches!(next(&mut gate), GateEvent::Overtaking(aligned, _) if aligned == barrier(1)));
    outputs[0].send(4).unwrap();
    let first = item(&next(&mut gate)).unwrap();
    outputs[1].send(12).unwrap();
    outputs[1].announced_barrier(barrier(1)).unwrap();
    outputs[1].send(13).unwrap();
    let GateEvent::Captured { checkpoint, channels, .. } = next(&mut gate) else {
        panic!("the last barrier completes it, whatever is still to be processed")
    };
    assert_eq!(checkpoint, CheckpointId::FIRST);
    // All that came before the barriers, whether it has been processed since or not.
    assert_eq!(channels, [(0, vec![0, 1, 2, 3]), (1, vec![10, 11, 12])]);
    let mut items: Vec<u64> = (0..8).map(|_| item(&next(&mut gate)).unwrap()).collect();
    items.insert(0, first);
    let of = |first: u64| items.iter().copied().filter(|i| i / 10 == first).collect::<Vec<_>>();
    assert_eq!((of(0), of(1)), (vec![0, 1, 2, 3, 4], vec![10, 11, 12, 13]), "in order, once");
    assert_eq!(next(&mut gate), GateEvent::DeadlineReached);
}

#[test]
fn draining_makes_no_room_and_handing_out_does() {
    let (mut outputs, mut gate) = gate(1, 4, AlignmentMode::Unaligned);
    for checkpoint in 1..=50 {
        while outputs[0].has_room().unwrap() {
            outputs[0].send(checkpoint).unwrap();
        }
        outputs[0].announced_barrier(barrier(checkpoint)).unwrap();
        assert!(matches!(next(&mut gate), GateEvent::Overtaking(..)));
        let GateEvent::Captured { channels, .. } = next(&mut gate) else { panic!("not captured") };
        assert_eq!(channels[0].1.len(), 4, "the channel holds its capacity, never more");
        assert!(!outputs[0].has_room().unwrap(), "back pressure lasts");
        // Half is handed out, so that the next checkpoint finds both drained and new items.
        (0..2).for_each(|_| assert!(item(&next(&mut gate)).is_some()));
        assert!(outputs[0].has_room().unwrap());
    }
}

#[test]
fn a_debt_is_paid_before_there_is_room() {
    let (mut outputs, mut gate) = gate(1, 4, AlignmentMode::ExactlyOnce);
    (0..10).for_each(|item| outputs[0].send(item).unwrap());
    assert_eq!(outputs[0].debt(), 6);
    for handed_out in 1..=10 {
        assert!(item(&next(&mut gate)).is_some());
        assert_eq!(outputs[0].has_room().unwrap(), handed_out > 6);
    }
    drop(gate);
    (0..4).for_each(|_| assert!(outputs[0].send(0).is_err()));
    assert!(outputs[0].has_room().is_err() && outputs[0].wait_for_room().is_err());
}

#[test]
fn what_is_put_back_and_what_is_restored_comes_first_and_is_captured_again() {
    let (mut outputs, mut gate) = gate(2, 4, AlignmentMode::Unaligned);
    gate.restore(1, 7);
    gate.restore(0, 8);
    outputs[0].send(1).unwrap();
    outputs[0].send(2).unwrap();
    assert_eq!(next(&mut gate), GateEvent::Data { channel: 1, item: 7 });
    gate.put_back(1, 77);
    assert_eq!(next(&mut gate), GateEvent::Data { channel: 1, item: 77 });
    outputs[1].announced_barrier(barrier(1)).unwrap();
    assert!(gate.is_urgent(&never::<()>()));
    gate.put_back(1, 777);
    assert!(matches!(next(&mut gate), GateEvent::Overtaking(..)));
    outputs[0].announced_barrier(barrier(1)).unwrap();
    let GateEvent::Captured { channels, .. } = next(&mut gate) else { panic!("not captured") };
    assert_eq!(channels, [(0, vec![8, 1, 2]), (1, vec![777])]);
    let items: Vec<_> = (0..4).map(|_| item(&next(&mut gate)).unwrap()).collect();
    assert_eq!(items, [777, 8, 1, 2]);
}

#[test]
fn a_timeout_makes_the_barrier_overtake() {
    let timeout = Duration::from_millis(30);
    let (mut outputs, gate) = gate(2, 4, AlignmentMode::AlignedWithTimeout { timeout });
    let mut gate = gate.weighing(|item| *item);
    outputs[0].send(1).unwrap();
    outputs[0].announced_barrier(barrier(1)).unwrap();
    outputs[0].send(2).unwrap();
    outputs[1].send(3).unwrap();
    // Until then it is aligned: the barrier waits in its place, then its channel is blocked.
    let mut items = vec![item(&next(&mut gate)).unwrap(), item(&next(&mut gate)).unwrap()];
    items.sort_unstable();
    assert_eq!(items, [1, 3]);
    let event = gate.next(&never::<()>(), None);
    let GateEvent::Overtaking(_, stats) = event else { panic!("{event:?}") };
    assert!(stats.duration >= timeout && stats.blocked_channels == 1 && stats.processed == 4);
    assert_eq!(item(&next(&mut gate)), Some(2));
    outputs[1].send(4).unwrap();
    outputs[1].announced_barrier(barrier(1)).unwrap();
    let GateEvent::Captured { channels, .. } = next(&mut gate) else { panic!("not captured") };
    assert_eq!(channels, [(1, vec![4])]);
    // One that is given up leaves nothing behind, and its timer does not run down.
    outputs[0].announced_barrier(barrier(2)).unwrap();
    assert_eq!(item(&next(&mut gate)), Some(4));
    gate.give_up(barrier(2).checkpoint);
    let (checkpoint, cause) = (barrier(2).checkpoint, AbortCause::GivenUp);
    assert_eq!(next(&mut gate), GateEvent::Aborted { checkpoint, cause });
    outputs[1].announced_barrier(barrier(2)).unwrap();
    thread::sleep(timeout);
    assert_eq!(next(&mut gate), GateEvent::DeadlineReached);
}

#[test]
fn without_room_only_what_is_urgent_comes_out() {
    let (mut outputs, mut gate) = gate(1, 4, AlignmentMode::Unaligned);
    let (interrupt_in, interrupt) = unbounded();
    let (credit, credits) = unbounded::<usize>();
    outputs[0].send(1).unwrap();
    let deadline = || Some(Instant::now() + Duration::from_millis(5));
    let urgent =
        |gate: &mut Gate| gate.next_urgent(&interrupt, std::slice::from_ref(&credits), deadline());
    assert_eq!(urgent(&mut gate), Some(GateEvent::DeadlineReached));
    interrupt_in.send(5).unwrap();
    assert_eq!(urgent(&mut gate), Some(GateEvent::Interrupt(5)));
    outputs[0].announced_barrier(barrier(1)).unwrap();
    assert!(matches!(urgent(&mut gate), Some(GateEvent::Overtaking(..))));
    assert!(matches!(urgent(&mut gate), Some(GateEvent::Captured { .. })));
    credit.send(1).unwrap();
    assert_eq!(urgent(&mut gate), None);
}

/// Feeds a channel: `length` items before each barrier, each the number of the checkpoint that it
/// belongs to, never beyond the capacity but for barriers.
fn feed(mut output: Output<u64>, length: u64, checkpoints: u64, announce: bool) {
    for number in 1..=checkpoints {
        for _ in 0..length {
            output.wait_for_room().unwrap();
            output.send(number).unwrap();
        }
        if announce {
            output.announced_barrier(barrier(number)).unwrap();
        } else {
            output.barrier(barrier(number)).unwrap();
        }
    }
    output.end().unwrap();
}

/// Reads until the end; for each checkpoint of which a snapshot and its captured data came, what
/// both held: the sum over all items of the checkpoints up to it must be in it.
fn read(mut gate: Gate, stop: &Receiver<()>, lengths: &[u64]) -> Result<u64, TestCaseError> {
    let total: u64 = lengths.iter().sum();
    let (mut seen, mut at_snapshot, mut whole) = (Vec::new(), Vec::new(), 0);
    let check = |items: &[u64], id: u64| {
        let expected: Vec<u64> = (1..=id).map(|_| total).collect();
        let found = |n: u64| items.iter().filter(|item| **item == n).count() as u64;
        let found: Vec<u64> = (1..=id).map(found).collect();
        prop_assert_eq!(found, expected, "checkpoint {}", id);
        prop_assert!(items.iter().all(|item| *item <= id), "after the barrier of {}", id);
        Ok(())
    };
    loop {
        match gate.next(stop, None) {
            GateEvent::Data { item, .. } => seen.push(item),
            GateEvent::Barrier(aligned, _) => {
                check(&seen, aligned.checkpoint.get())?;
                whole += 1;
            }
            GateEvent::Overtaking(..) => at_snapshot.clone_from(&seen),
            GateEvent::Captured { checkpoint, channels, .. } => {
                let mut items = std::mem::take(&mut at_snapshot);
                items.extend(channels.into_iter().flat_map(|(_, items)| items));
                check(&items, checkpoint.get())?;
                whole += 1;
            }
            GateEvent::End => return Ok(whole),
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn with_threads_every_checkpoint_is_a_consistent_cut(
        lengths in proptest::collection::vec(0_u64..40, 1..5),
        capacity in 1_usize..6,
        timeout_us in 0_u64..400,
        announce in any::<bool>(),
        unaligned in any::<bool>(),
    ) {
        const CHECKPOINTS: u64 = 8;
        let timeout = Duration::from_micros(timeout_us);
        let timed = AlignmentMode::AlignedWithTimeout { timeout };
        let mode = if unaligned { AlignmentMode::Unaligned } else { timed };
        let (outputs, gate) = gate(lengths.len(), capacity, mode);
        let threads: Vec<_> = outputs.into_iter().zip(lengths.clone()).map(|(output, length)| {
            thread::spawn(move || feed(output, length, CHECKPOINTS, announce))
        }).collect();
        let whole = read(gate, &never(), &lengths)?;
        // The newest is never superseded.
        prop_assert!((1..=CHECKPOINTS).contains(&whole));
        for thread in threads {
            thread.join().unwrap();
        }
    }
}
