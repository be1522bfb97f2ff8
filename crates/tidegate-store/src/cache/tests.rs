//! Caches over a store without local files.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::MemoryStorage;

/// A store with one file, and a cache of it.
struct World {
    storage: MemoryStorage,
    directory: TempDir,
}

impl World {
    fn new() -> Self {
        Self { storage: MemoryStorage::new(), directory: tempfile::tempdir().unwrap() }
    }

    fn put(&self, name: &str, bytes: &[u8]) -> (StoragePath, FinishedFile) {
        let path = StoragePath::new(name).unwrap();
        let mut writer = self.storage.create(&path).unwrap();
        writer.write_all(bytes).unwrap();
        (path, writer.finish().unwrap())
    }

    fn cache(&self, max_bytes: u64) -> FileCache {
        FileCache::new(self.directory.path().to_owned(), max_bytes)
    }

    fn copies(&self) -> usize {
        fs::read_dir(self.directory.path().join("files")).unwrap().count()
    }

    fn read(&self, cache: &FileCache, (path, file): &(StoragePath, FinishedFile)) -> Vec<u8> {
        let reader = cache.open_file(&self.storage, path, *file).unwrap();
        reader.read_all(file.length).unwrap()
    }
}

fn bytes(seed: usize, length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| u8::try_from((index * 31 + index / 251 + seed) % 256).unwrap())
        .collect()
}

#[test]
fn a_file_is_downloaded_once_whatever_its_length() {
    let world = World::new();
    let cache = world.cache(1 << 30);
    for (seed, length) in [0, 1, PIECE, (9 << 20) + 5, 33 << 20].into_iter().enumerate() {
        let content = bytes(seed, length);
        let file = world.put(&format!("f{seed}"), &content);
        assert!(world.read(&cache, &file) == content, "{length}");
        // It is not asked for again.
        world.storage.delete(&file.0).unwrap();
        cache.check(&world.storage, &file.0, file.1).unwrap();
        assert!(world.read(&world.cache(1 << 30), &file) == content, "{length}");
    }
    assert_eq!(world.copies(), 5);
}

#[test]
fn what_is_not_the_file_is_refused_and_leaves_nothing() {
    let world = World::new();
    let cache = world.cache(1 << 20);
    let (path, file) = world.put("f", &bytes(1, 5_000_000));
    let other = FinishedFile { digest: tidegate_types::Digest::of(b""), ..file };
    let error = cache.fetch(&world.storage, &path, other).unwrap_err();
    assert!(matches!(error, StorageError::OtherContent { .. }), "{error}");
    let error = cache.fetch(&world.storage, &path, FinishedFile { length: 7, ..file }).unwrap_err();
    assert!(matches!(error, StorageError::OtherLength { found: 5_000_000, .. }), "{error}");
    let absent = StoragePath::new("absent").unwrap();
    let error = cache.fetch(&world.storage, &absent, file).unwrap_err();
    assert!(matches!(error, StorageError::Missing { .. }), "{error}");
    assert_eq!(world.copies(), 0);
}

#[test]
fn a_damaged_copy_is_found_by_checking_and_replaced() {
    let world = World::new();
    let cache = world.cache(1 << 20);
    let content = bytes(1, 3000);
    let file = world.put("f", &content);
    cache.fetch(&world.storage, &file.0, file.1).unwrap();
    let copy = cache.copy(&name_of(file.1));
    for damage in [&content[..2999], &bytes(2, 3000)[..]] {
        fs::write(&copy, damage).unwrap();
        cache.check(&world.storage, &file.0, file.1).unwrap();
        assert!(world.read(&cache, &file) == content);
    }
    // One of another length is seen without that.
    fs::write(&copy, b"short").unwrap();
    assert!(world.read(&cache, &file) == content);
}

#[test]
fn those_used_least_recently_go_and_none_before_its_use() {
    let world = World::new();
    let cache = world.cache(2500);
    let files: Vec<_> =
        (0..4).map(|seed| world.put(&format!("f{seed}"), &bytes(seed, 1000))).collect();
    for (path, file) in &files {
        cache.fetch(&world.storage, path, *file).unwrap();
    }
    assert_eq!(world.copies(), 4, "none was used yet");
    let past = |index: usize, seconds| {
        let copy = File::open(cache.copy(&name_of(files[index].1))).unwrap();
        copy.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
    };
    (0..4).for_each(|index| past(index, 100 + index as u64));
    cache.state().kept.clear();
    world.read(&cache, &files[3]);
    let has = |index: usize| cache.copy(&name_of(files[index].1)).exists();
    assert_eq!([has(0), has(1), has(2), has(3)], [true, false, false, true]);
    // One that is larger than the cache can be used, too, and does not stay.
    let target = world.directory.path().join("elsewhere/target");
    let large = world.put("large", &bytes(9, 9000));
    cache.link(&world.storage, &large.0, large.1, &target).unwrap();
    assert_eq!(fs::metadata(&target).unwrap().len(), 9000);
    assert!(!cache.copy(&name_of(large.1)).exists());
}

#[test]
fn what_was_uploaded_need_not_be_downloaded() {
    let world = World::new();
    let cache = world.cache(1 << 20);
    let (path, file) = world.put("f", b"content");
    world.storage.delete(&path).unwrap();
    let local = world.directory.path().join("local");
    fs::write(&local, b"content").unwrap();
    cache.adopt(&local, file);
    fs::remove_file(&local).unwrap();
    assert_eq!(world.read(&cache, &(path, file)), b"content");
}

// Several caches of one directory are what several processes have.
#[test]
fn processes_share_a_cache_that_somebody_keeps_deleting() {
    let world = World::new();
    let files: Vec<_> =
        (0..8).map(|seed| world.put(&format!("f{seed}"), &bytes(seed, 70_000))).collect();
    let (is_over, used) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let cache = world.cache(200_000);
                    for round in 0..40 {
                        let (path, file) = &files[round % files.len()];
                        let target = cache.working_directory().unwrap();
                        let target = target.directory().join(&format!("w{round}")).unwrap();
                        let target = world.directory.path().join(target.as_str());
                        // Somebody who deletes just then may win eight times, which is told.
                        if cache.link(&world.storage, path, *file, &target).is_ok() {
                            used.fetch_add(1, Ordering::Relaxed);
                            assert_eq!(content_of(&target).ok(), Some(*file));
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let _ = fs::remove_dir_all(world.directory.path().join("files"));
                thread::yield_now();
            }
        });
        for reader in readers {
            reader.join().unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(used.load(Ordering::Relaxed) > 0);
}

#[test]
fn a_working_directory_goes_with_its_process() {
    let world = World::new();
    let work = || fs::read_dir(world.directory.path().join("work")).unwrap().count();
    let cache = world.cache(0);
    let working = cache.working_directory().unwrap();
    fs::create_dir(world.directory.path().join("work/7-killed")).unwrap();
    fs::write(world.directory.path().join("work/7-killed/x.segment"), b"x").unwrap();
    assert_eq!(work(), 2);
    let other = world.cache(0);
    let others = other.working_directory().unwrap();
    assert_eq!(work(), 2, "what a killed process left is gone, what a living one has is not");
    drop((cache, working, other, others));
    assert_eq!(work(), 0);
}
