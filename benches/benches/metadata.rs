//! How long does it take to write the metadata of a checkpoint, and to read it: verified and used
//! in place, and verified and copied into owned values?

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tidegate_benches::metadata;
use tidegate_meta::frame::{self, FrameKind};
use tidegate_meta::{MetadataView, encode};

fn benchmark(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("metadata");
    for handles in [10_usize, 1_000, 100_000] {
        let metadata = metadata(handles);
        let bytes = encode(&metadata).expect("below the limit");
        println!("{handles} handles: {} bytes", bytes.len());
        group.throughput(Throughput::Elements(handles as u64));
        group.bench_with_input(BenchmarkId::new("encode", handles), &metadata, |b, metadata| {
            b.iter(|| encode(black_box(metadata)).expect("below the limit"));
        });
        group.bench_with_input(BenchmarkId::new("frame", handles), &bytes, |b, bytes| {
            b.iter(|| frame::open(FrameKind::Metadata, black_box(bytes)).expect("sound").len());
        });
        group.bench_with_input(BenchmarkId::new("open", handles), &bytes, |b, bytes| {
            b.iter(|| MetadataView::open(black_box(bytes)).expect("sound").operator_count());
        });
        group.bench_with_input(
            BenchmarkId::new("open and convert", handles),
            &bytes,
            |b, bytes| {
                b.iter(|| MetadataView::open(black_box(bytes)).expect("sound").to_metadata());
            },
        );
    }
    group.finish();
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
