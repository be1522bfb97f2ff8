//! How many records a second come through an input gate, without barriers and with one in every
//! hundred batches, next to a bare crossbeam channel with as many senders?

use std::thread;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use crossbeam::channel::{self, Receiver, Sender};
use tidegate_align::{AlignmentMode, GateEvent, InputGate, Message};
use tidegate_types::{Barrier, CheckpointId, SnapshotKind};

const BATCH: u64 = 256;
/// Sent through all channels together.
const BATCHES: u64 = 4_000;
const CAPACITY: usize = 16;
/// Batches of one channel between two barriers.
const BARRIER_EVERY: u64 = 100;

fn benchmark(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("gate");
    group.throughput(Throughput::Elements(BATCH * BATCHES)).sample_size(20);
    for channels in [1_u64, 2, 4] {
        group.bench_function(BenchmarkId::new("bare channel", channels), |b| {
            b.iter(|| bare(channels));
        });
        group.bench_function(BenchmarkId::new("no barriers", channels), |b| {
            b.iter(|| gate(channels, None));
        });
        group.bench_function(BenchmarkId::new("barriers", channels), |b| {
            b.iter(|| gate(channels, Some(BARRIER_EVERY)));
        });
    }
    group.finish();
}

fn batch(number: u64) -> Vec<u64> {
    (number..number + BATCH).collect()
}

/// What a task does with a batch: look at every record.
fn sum(batch: &[u64]) -> u64 {
    batch.iter().fold(0, |sum, record| sum.wrapping_add(*record))
}

fn bare(senders: u64) -> u64 {
    let (sender, receiver) = channel::bounded(CAPACITY);
    thread::scope(|scope| {
        for _ in 0..senders {
            let sender = sender.clone();
            scope.spawn(move || {
                for number in 0..BATCHES / senders {
                    sender.send(batch(number)).expect("somebody receives");
                }
            });
        }
        drop(sender);
        receiver.iter().fold(0, |total, batch| sum(&batch).wrapping_add(total))
    })
}

fn gate(channels: u64, barrier_every: Option<u64>) -> u64 {
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..channels).map(|_| channel::bounded(CAPACITY)).unzip();
    thread::scope(|scope| {
        for sender in senders {
            scope.spawn(move || send(&sender, BATCHES / channels, barrier_every));
        }
        receive(receivers)
    })
}

fn send(sender: &Sender<Message<Vec<u64>>>, batches: u64, barrier_every: Option<u64>) {
    for number in 0..batches {
        sender.send(Message::Data(batch(number))).expect("somebody receives");
        if barrier_every.is_some_and(|every| number % every == 0) {
            let checkpoint = CheckpointId::FIRST.get() + number;
            let checkpoint = CheckpointId::new(checkpoint).expect("not zero");
            let kind = SnapshotKind::Checkpoint;
            let barrier = Barrier { checkpoint, kind, triggered_at_ms: 0 };
            sender.send(Message::Barrier(barrier)).expect("somebody receives");
        }
    }
    sender.send(Message::End).expect("somebody receives");
}

fn receive(receivers: Vec<Receiver<Message<Vec<u64>>>>) -> u64 {
    let never = channel::never::<()>();
    let mut gate = InputGate::new(receivers, AlignmentMode::ExactlyOnce);
    let mut total = 0_u64;
    loop {
        match gate.next(&never, None) {
            GateEvent::Data { item, .. } => total = total.wrapping_add(sum(&item)),
            GateEvent::End => return total,
            GateEvent::Barrier(..) | GateEvent::ChannelEnded { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
