//! What takes long: files larger than memory is to be, and how fast they go. `cargo test -p
//! tidegate-store-hdfs --release -- --ignored --nocapture --test-threads 1`.

use std::fs;
use std::io::Write as _;
use std::time::Instant;

use bytes::Bytes;
use hdfs_native::WriteOptions;
use tidegate_store::StorageError;
use tidegate_store_hdfs::HdfsOptions;

use crate::cluster::{Plain, bytes, open, path, root};

const MIB: usize = 1 << 20;
const BLOCK: u64 = 64 << 20;

fn options() -> HdfsOptions {
    let properties = [("dfs.blocksize".to_owned(), BLOCK.to_string())].into();
    HdfsOptions { properties, ..HdfsOptions::default() }
}

/// The most memory that this process ever had, in MiB.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("KiB");
    kib / 1024
}

#[test]
#[ignore = "writes 4 GiB"]
fn two_gigabytes_take_little_memory() {
    let Some(root) = root("large") else { return };
    let storage = open(&root, &options());
    let part = bytes(4 * MIB);
    let before = peak_memory();
    let mut writer = storage.create(&path("job/large")).unwrap();
    for _ in 0..512 {
        writer.write_all(&part).unwrap();
    }
    writer.finish().unwrap();
    let written = peak_memory();
    let reader = storage.open(&path("job/large")).unwrap();
    let mut buffer = vec![0; 32 * MIB];
    for part_number in 0..64 {
        reader.read_at(part_number * 32 * MIB as u64, &mut buffer).unwrap();
        assert!(buffer.chunks(part.len()).all(|chunk| chunk == part), "at {part_number} * 32 MiB");
    }
    let read = peak_memory();
    println!(
        "peak memory: {before} MiB before, {written} after writing, {read} after reading 2 GiB"
    );
    assert!(written - before < 64, "writing took {} MiB", written - before);
    assert!(read - written < 128, "reading took {} MiB", read - written);
    let _ = storage.delete_directory(&path("job")).unwrap();
}

#[test]
#[ignore = "measures"]
fn throughput_beside_the_plain_client() {
    const LENGTH: usize = 256 * MIB;
    const ROUNDS: usize = 5;
    let Some(root) = root("throughput") else { return };
    let storage = open(&root, &options());
    let client = Plain::at(&root);
    let part = Bytes::from(bytes(4 * MIB));
    let mut times: [Vec<f64>; 4] = Default::default();
    for round in 0..ROUNDS {
        let begun = Instant::now();
        let mut writer = storage.create(&path(&format!("ours-{round}"))).unwrap();
        for _ in 0..LENGTH / part.len() {
            writer.write_all(&part).unwrap();
        }
        writer.finish().unwrap();
        times[0].push(begun.elapsed().as_secs_f64());

        let begun = Instant::now();
        let plain = format!("{}/plain-{round}", client.root);
        client.wait(async {
            let options = WriteOptions::default().block_size(BLOCK);
            let mut writer = client.client.create(&plain, options).await?;
            for _ in 0..LENGTH / part.len() {
                Box::pin(writer.write_bytes(part.clone())).await?;
            }
            Box::pin(writer.close()).await
        });
        times[1].push(begun.elapsed().as_secs_f64());

        let begun = Instant::now();
        let reader = storage.open(&path(&format!("ours-{round}"))).unwrap();
        assert_eq!(reader.read_all(u64::MAX).unwrap().len(), LENGTH);
        times[2].push(begun.elapsed().as_secs_f64());

        let begun = Instant::now();
        let read =
            client.wait(async { client.client.read(&plain).await?.read_range(0, LENGTH).await });
        assert_eq!(read.len(), LENGTH);
        times[3].push(begun.elapsed().as_secs_f64());
        for name in [format!("ours-{round}"), format!("plain-{round}")] {
            storage.delete(&path(&name)).map_err(StorageError::into_io).unwrap();
        }
    }
    let [ours, plain, our_read, plain_read] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        256.0 / times[ROUNDS / 2]
    });
    println!("write: {ours:.0} MiB/s, plain client {plain:.0}: {:.2}", ours / plain);
    println!(
        "read: {our_read:.0} MiB/s, plain client {plain_read:.0}: {:.2}",
        our_read / plain_read
    );
}
