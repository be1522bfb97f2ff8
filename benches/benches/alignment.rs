//! What the gate costs: a message through a bare crossbeam channel, through a gate over such a
//! channel, and through a gate over channels whose barriers may overtake. Per message of one
//! record, and per record of a batch of 256, which is what the runtime sends.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use crossbeam::channel::{never, unbounded};
use tidegate_align::{AlignmentMode, GateEvent, InputGate, Message, channels};

/// Messages that are put in, then taken out; fewer than a channel holds.
const MESSAGES: usize = 1_000;
const BATCH: usize = 256;

fn bare<T: Clone>(item: &T) -> usize {
    let (sender, receiver) = unbounded();
    for _ in 0..MESSAGES {
        sender.send(Message::Data(item.clone())).expect("the receiver lives");
    }
    let data = |message: &Message<T>| matches!(message, Message::Data(_));
    receiver.try_iter().filter(data).map(black_box).count()
}

fn drained<T: Clone>(mut gate: InputGate<T>) -> usize {
    let interrupt = never::<()>();
    let mut taken = 0;
    while taken < MESSAGES {
        let GateEvent::Data { item, .. } = gate.next(&interrupt, None) else { continue };
        black_box(item);
        taken += 1;
    }
    taken
}

fn plain<T: Clone>(item: &T) -> usize {
    let (sender, receiver) = unbounded();
    for _ in 0..MESSAGES {
        sender.send(Message::Data(item.clone())).expect("the receiver lives");
    }
    drained(InputGate::new(vec![receiver], AlignmentMode::ExactlyOnce))
}

fn overtakable<T: Clone>(item: &T) -> usize {
    let (mut outputs, inputs) = channels(1, MESSAGES);
    for _ in 0..MESSAGES {
        outputs[0].send(item.clone()).expect("the receiver lives");
    }
    drained(InputGate::over(inputs, AlignmentMode::Unaligned))
}

fn gate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("gate");
    group.throughput(Throughput::Elements(MESSAGES as u64));
    group.bench_function(BenchmarkId::new("bare channel", "record"), |b| b.iter(|| bare(&7_u64)));
    group.bench_function(BenchmarkId::new("gate", "record"), |b| b.iter(|| plain(&7_u64)));
    let one = |b: &mut criterion::Bencher<'_>| b.iter(|| overtakable(&7_u64));
    group.bench_function(BenchmarkId::new("overtakable gate", "record"), one);
    group.throughput(Throughput::Elements((MESSAGES * BATCH) as u64));
    let batch = vec![7_u64; BATCH];
    group.bench_function(BenchmarkId::new("bare channel", "batch"), |b| b.iter(|| bare(&batch)));
    group.bench_function(BenchmarkId::new("gate", "batch"), |b| b.iter(|| plain(&batch)));
    let many = |b: &mut criterion::Bencher<'_>| b.iter(|| overtakable(&batch));
    group.bench_function(BenchmarkId::new("overtakable gate", "batch"), many);
    group.finish();
}

criterion_group!(benches, gate);
criterion_main!(benches);
