//! Files larger than the memory that is used for them, and how fast they go. Run by hand:
//! `cargo test --release -p tidegate-store-object -- --ignored --nocapture`.

use std::io::Write as _;
use std::time::{Duration, Instant};

use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{ObjectStore as _, ObjectStoreExt as _, WriteMultipart};

use crate::servers::{bytes, path, s3};

const MIB: usize = 1024 * 1024;

#[test]
#[ignore = "two GiB"]
fn two_gib_take_little_memory() {
    let Some(server) = s3("two_gib_take_little_memory") else { return };
    let storage = server.open();
    let block = bytes(16 * MIB);
    let at = path("shared/huge");
    let before = peak_memory();
    let begun = Instant::now();
    let mut writer = storage.create(&at).unwrap();
    for _ in 0..128 {
        writer.write_all(&block).unwrap();
    }
    let file = writer.finish().unwrap();
    let written = begun.elapsed();
    assert_eq!(file.length, 128 * block.len() as u64);
    let after_upload = peak_memory();

    let begun = Instant::now();
    let reader = storage.open(&at).unwrap();
    let mut buffer = vec![0; 16 * MIB];
    for n in 0..128 {
        reader.read_at(n * buffer.len() as u64, &mut buffer).unwrap();
        assert!(buffer == block, "block {n}");
    }
    let read = begun.elapsed();
    let peak = peak_memory();
    let speed = |time: Duration| 2048.0 / time.as_secs_f64();
    println!(
        "2 GiB: up {:.0} MiB/s, down {:.0} MiB/s; peak memory {before} MiB before, {after_upload} \
         MiB after the upload, {peak} MiB after the download",
        speed(written),
        speed(read)
    );
    // Parts of 8 MiB, five of them, what the client copies of each, and the download's buffer.
    assert!(peak - before < 200, "{} MiB more than before", peak - before);
    let _ = storage.delete(&at).unwrap();
}

#[test]
#[ignore = "a measurement"]
fn throughput_against_the_plain_client() {
    let Some(server) = s3("throughput_against_the_plain_client") else { return };
    let variable = |name: &str| std::env::var(name).unwrap();
    let plain = AmazonS3Builder::new()
        .with_endpoint(&server.endpoint)
        .with_bucket_name(variable("TIDEGATE_TEST_S3_BUCKET"))
        .with_access_key_id(variable("TIDEGATE_TEST_S3_ACCESS_KEY"))
        .with_secret_access_key(variable("TIDEGATE_TEST_S3_SECRET_KEY"))
        .with_allow_http(true)
        .build()
        .unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let storage = server.open();
    let content = bytes(256 * MIB);
    let (mut up, mut down) = (Vec::new(), Vec::new());
    for round in 0..5 {
        let object = Path::from(format!("plain-{round}"));
        let begun = Instant::now();
        runtime.block_on(async {
            let upload = plain.put_multipart(&object).await.unwrap();
            let mut write = WriteMultipart::new_with_chunk_size(upload, 8 * MIB);
            for piece in content.chunks(MIB) {
                write.wait_for_capacity(4).await.unwrap();
                write.write(piece);
            }
            write.finish().await.unwrap();
        });
        let plain_up = begun.elapsed();
        let begun = Instant::now();
        let got = runtime.block_on(async {
            let piece = 4 * MIB as u64;
            let ranges: Vec<_> = (0..64).map(|n| n * piece..(n + 1) * piece).collect();
            plain.get_ranges(&object, &ranges).await.unwrap()
        });
        assert_eq!(got.iter().map(bytes::Bytes::len).sum::<usize>(), content.len());
        let plain_down = begun.elapsed();

        let at = path(&format!("ours-{round}"));
        let begun = Instant::now();
        let mut writer = storage.create(&at).unwrap();
        content.chunks(MIB).for_each(|piece| writer.write_all(piece).unwrap());
        writer.finish().unwrap();
        up.push(plain_up.as_secs_f64() / begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        let got = storage.open(&at).unwrap().read_all(u64::MAX).unwrap();
        down.push(plain_down.as_secs_f64() / begun.elapsed().as_secs_f64());
        assert!(got == content);
        runtime.block_on(plain.delete(&object)).unwrap();
        let _ = storage.delete(&at).unwrap();
    }
    println!(
        "throughput against the plain client: up {}, down {}",
        shown(&mut up),
        shown(&mut down)
    );
}

fn shown(ratios: &mut [f64]) -> String {
    ratios.sort_by(f64::total_cmp);
    format!("{:.2} ({:.2} to {:.2})", ratios[2], ratios[0], ratios[4])
}

/// The most memory that the process has had, in MiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kB") / 1024
}
