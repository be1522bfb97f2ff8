//! The gate over real channels.

use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, TrySendError, bounded, never, unbounded};
use proptest::prelude::*;
use tidegate_align::{AlignmentMode, GateEvent, InputGate, Message};

use crate::barrier;

type Input = Sender<Message<u64>>;

fn gate(channels: usize, capacity: usize) -> (Vec<Input>, InputGate<u64>) {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..channels).map(|_| bounded(capacity)).unzip();
    (senders, InputGate::new(receivers, AlignmentMode::ExactlyOnce))
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(20)
}

fn next(gate: &mut InputGate<u64>) -> GateEvent<u64, ()> {
    gate.next(&never(), Some(soon()))
}

#[test]
fn a_blocked_channel_is_not_read_and_the_other_one_is() {
    let (senders, mut gate) = gate(2, 2);
    senders[0].send(Message::Barrier(barrier(1))).unwrap();
    senders[0].send(Message::Data(1)).unwrap();
    assert_eq!(next(&mut gate), GateEvent::DeadlineReached);
    senders[0].send(Message::Data(2)).unwrap();
    // Its sender feels the back pressure; the other one's data passes meanwhile.
    assert!(matches!(senders[0].try_send(Message::Data(3)), Err(TrySendError::Full(_))));
    for item in 10..20 {
        senders[1].send(Message::Data(item)).unwrap();
        assert_eq!(next(&mut gate), GateEvent::Data { channel: 1, item });
    }
    senders[1].send(Message::Barrier(barrier(1))).unwrap();
    let GateEvent::Barrier(aligned, stats) = next(&mut gate) else { panic!("not aligned") };
    assert_eq!((aligned, stats.blocked_channels), (barrier(1), 1));
    assert!(stats.duration >= Duration::from_millis(20));
    assert_eq!(next(&mut gate), GateEvent::Data { channel: 0, item: 1 });
}

#[test]
fn the_end_comes_once_and_then_the_gate_sleeps() {
    let (senders, mut gate) = gate(2, 2);
    senders[1].send(Message::End).unwrap();
    senders[0].send(Message::End).unwrap();
    let events: Vec<_> = (0..4).map(|_| next(&mut gate)).collect();
    assert!(events[..2].contains(&GateEvent::ChannelEnded { channel: 0 }));
    assert!(events[..2].contains(&GateEvent::ChannelEnded { channel: 1 }));
    assert_eq!(events[2..], [GateEvent::End, GateEvent::DeadlineReached]);
    let mut none = InputGate::<u64>::new(Vec::new(), AlignmentMode::ExactlyOnce);
    assert_eq!(next(&mut none), GateEvent::End);
    assert_eq!(next(&mut none), GateEvent::DeadlineReached);
}

#[test]
fn a_lost_sender_is_reported_once_and_completes_nothing() {
    let (mut senders, mut gate) = gate(2, 2);
    drop(senders.remove(0));
    assert_eq!(next(&mut gate), GateEvent::Disconnected { channel: 0 });
    senders[0].send(Message::Barrier(barrier(1))).unwrap();
    assert_eq!(next(&mut gate), GateEvent::DeadlineReached);
}

/// The number of data items before something else comes, of a gate that always has data.
fn items_before_other<I>(interrupt: &Receiver<I>, deadline: Option<Instant>) -> (usize, bool) {
    let (senders, mut gate) = gate(2, 1000);
    for item in 0..1000 {
        senders[0].send(Message::Data(item)).unwrap();
        senders[1].send(Message::Data(item)).unwrap();
    }
    let is_data = |_: &usize| matches!(gate.next(interrupt, deadline), GateEvent::Data { .. });
    let items = (0..1000).take_while(is_data).count();
    (items, items < 1000)
}

#[test]
fn interrupts_and_deadlines_are_seen_under_load() {
    let (sender, interrupt) = unbounded();
    sender.send(()).unwrap();
    assert!(matches!(items_before_other(&interrupt, None), (0..=16, true)));
    drop(sender);
    assert!(matches!(items_before_other(&interrupt, None), (0..=16, true)));
    assert!(matches!(items_before_other(&never::<()>(), Some(Instant::now())), (0..=16, true)));
}

#[test]
fn no_channel_starves() {
    let (senders, mut gate) = gate(3, 1000);
    for item in 0..1000 {
        senders.iter().for_each(|sender| sender.send(Message::Data(item)).unwrap());
    }
    let mut counts = [0_u32; 3];
    for _ in 0..300 {
        let GateEvent::Data { channel, .. } = next(&mut gate) else { panic!("there is data") };
        counts[channel] += 1;
    }
    assert!(counts.iter().all(|count| (84..=116).contains(count)), "{counts:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    // Each channel sends `lengths[i]` items before each barrier; whatever the threads do, what was
    // read before a snapshot is what was sent before its barrier.
    #[test]
    fn with_threads_every_snapshot_is_a_consistent_cut(
        lengths in proptest::collection::vec(0_u64..40, 1..5), capacity in 1_usize..5,
    ) {
        const CHECKPOINTS: u64 = 8;
        let (senders, mut gate) = gate(lengths.len(), capacity);
        let senders = senders.into_iter().zip(lengths.clone()).map(|(sender, length)| {
            thread::spawn(move || {
                for number in 1..=CHECKPOINTS {
                    (0..length).for_each(|_| sender.send(Message::Data(number)).unwrap());
                    sender.send(Message::Barrier(barrier(number))).unwrap();
                }
                sender.send(Message::End).unwrap();
            })
        });
        let threads: Vec<_> = senders.collect();
        let (mut current, mut items) = (1, 0);
        loop {
            match gate.next(&never::<()>(), None) {
                GateEvent::Data { item, .. } => {
                    prop_assert_eq!(item, current);
                    items += 1;
                }
                GateEvent::Barrier(aligned, _) => {
                    prop_assert_eq!(aligned, barrier(current));
                    prop_assert_eq!(items, lengths.iter().sum::<u64>());
                    (current, items) = (current + 1, 0);
                }
                GateEvent::ChannelEnded { .. } => {}
                GateEvent::End => break,
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert_eq!(current, CHECKPOINTS + 1);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}
