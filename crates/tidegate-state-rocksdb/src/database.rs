//! One RocksDB database: the only file that names the `rocksdb` crate.
//!
//! Invariants:
//! - every `Options` lives as long as the database that was opened with it: the crate does not keep
//!   what is in them (a compaction filter, above all) alive by itself;
//! - nothing goes to a write-ahead log: what is not in a checkpoint is replayed from the sources;
//! - the `default` column family is empty, since it cannot be imported.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    BlockBasedOptions, BoundColumnFamily, Cache, ColumnFamilyDescriptor, CompactionDecision, DB,
    DBCompressionType, ErrorKind, IngestExternalFileOptions, MergeOperands, Options, ReadOptions,
    SstFileWriter, WriteBufferManager, WriteOptions,
};
use tidegate_state::{Expiry, RowVisitor, StateError, ValueVisitor};
use tidegate_types::OperatorUid;

use crate::config::{Compression, RocksDbStateConfig};
use crate::error::{RocksDbStateError, files, shown};

/// The version of RocksDB that the crate brings.
pub(crate) const ROCKSDB_VERSION: &str = "11.12";

const DEFAULT_FAMILY: &str = "default";
/// A file that is made to be ingested ends at about this many bytes.
const INGESTED_MAX: u64 = 64 << 20;

/// Memory that the databases of a process share.
#[derive(Clone)]
pub(crate) struct Memory {
    cache: Cache,
    write_buffers: WriteBufferManager,
}

impl Memory {
    pub(crate) fn new(config: &RocksDbStateConfig) -> Self {
        let bytes = config.memory_bytes.get();
        let cache = Cache::new_lru_cache(bytes);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a ratio from 0 to 1 of a size"
        )]
        let buffers = (bytes as f64 * config.write_buffer_ratio) as usize;
        // Write buffers are charged to the cache, so that both together keep to the limit.
        let write_buffers =
            WriteBufferManager::new_write_buffer_manager_with_cache(buffers, false, cache.clone());
        Self { cache, write_buffers }
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

/// How databases are opened.
#[derive(Clone, Debug)]
pub(crate) struct Tuning {
    pub(crate) config: Arc<RocksDbStateConfig>,
    pub(crate) memory: Memory,
    /// The time by which values expire, in milliseconds since the Unix epoch.
    pub(crate) now_ms: Arc<AtomicI64>,
    pub(crate) operator: OperatorUid,
}

/// When compactions drop values of a family; known once its state is registered.
type FamilyExpiry = Arc<OnceLock<Expiry>>;

pub(crate) struct Database {
    // First, so that it is closed before what it uses goes.
    db: DB,
    path: PathBuf,
    tuning: Tuning,
    expiries: Mutex<Vec<(String, FamilyExpiry)>>,
    options: Mutex<Vec<Options>>,
    write: WriteOptions,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("path", &self.path).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    ReadWrite,
    ReadOnly,
}

impl Database {
    /// Opens what is in the directory; for writing, makes a database where there is none.
    pub(crate) fn open(
        path: &Path,
        tuning: &Tuning,
        access: Access,
    ) -> Result<Self, RocksDbStateError> {
        let options = database_options(tuning);
        let failed = |error| failure("open", path, error);
        let names = if path.join("CURRENT").exists() {
            DB::list_cf(&options, path).map_err(failed)?
        } else {
            vec![DEFAULT_FAMILY.to_owned()]
        };
        let (mut kept, mut expiries) = (Vec::new(), Vec::new());
        let mut descriptors = Vec::new();
        for name in names {
            let expiry = FamilyExpiry::default();
            let family = family_options(tuning, &expiry);
            kept.push(family.clone());
            expiries.push((name.clone(), expiry));
            descriptors.push(ColumnFamilyDescriptor::new(name, family));
        }
        let opened = match access {
            Access::ReadWrite => DB::open_cf_descriptors(&options, path, descriptors),
            Access::ReadOnly => {
                DB::open_cf_descriptors_read_only(&options, path, descriptors, false)
            }
        };
        let db = opened.map_err(failed)?;
        kept.push(options);
        let mut write = WriteOptions::default();
        write.disable_wal(true);
        Ok(Self {
            db,
            path: path.to_owned(),
            tuning: tuning.clone(),
            expiries: Mutex::new(expiries),
            options: Mutex::new(kept),
            write,
        })
    }

    /// The names of the column families with state in them.
    pub(crate) fn families(&self) -> Vec<String> {
        let expiries = self.expiries.lock().unwrap_or_else(PoisonError::into_inner);
        let names = expiries.iter().map(|(name, _)| name.clone());
        names.filter(|name| name != DEFAULT_FAMILY).collect()
    }

    /// Makes sure that there is a column family of this name.
    pub(crate) fn create_family(&self, name: &str) -> Result<(), RocksDbStateError> {
        if self.db.cf_handle(name).is_some() {
            return Ok(());
        }
        let expiry = FamilyExpiry::default();
        let options = family_options(&self.tuning, &expiry);
        let created = self.db.create_cf(name, &options);
        self.options.lock().unwrap_or_else(PoisonError::into_inner).push(options);
        created.map_err(|error| failure("add a column family to", &self.path, error))?;
        let mut expiries = self.expiries.lock().unwrap_or_else(PoisonError::into_inner);
        expiries.push((name.to_owned(), expiry));
        Ok(())
    }

    /// From now on, compactions drop values of the family that have expired.
    pub(crate) fn expire(&self, name: &str, expiry: Expiry) {
        let expiries = self.expiries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = expiries.iter().find(|(known, _)| known == name) {
            // Set before: by the same state.
            let _ = known.set(expiry);
        }
    }

    fn family(&self, name: &str) -> Result<Arc<BoundColumnFamily<'_>>, StateError> {
        self.db.cf_handle(name).ok_or_else(|| {
            self.told(RocksDbStateError::NoFamily { path: shown(&self.path), state: name.into() })
        })
    }

    fn told(&self, error: RocksDbStateError) -> StateError {
        files(&self.tuning.operator, error)
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(rocksdb::Error) -> StateError + '_ {
        move |error| self.told(failure(action, &self.path, error))
    }

    pub(crate) fn get(
        &self,
        family: &str,
        key: &[u8],
        show: &mut ValueVisitor<'_>,
    ) -> Result<(), StateError> {
        let family = self.family(family)?;
        let found = self.db.get_pinned_cf(&family, key).map_err(self.failed("read from"))?;
        show(found.as_deref())
    }

    pub(crate) fn put(&self, family: &str, key: &[u8], value: &[u8]) -> Result<(), StateError> {
        let family = self.family(family)?;
        let written = self.db.put_cf_opt(&family, key, value, &self.write);
        written.map_err(self.failed("write to"))
    }

    pub(crate) fn append(&self, family: &str, key: &[u8], bytes: &[u8]) -> Result<(), StateError> {
        let family = self.family(family)?;
        let written = self.db.merge_cf_opt(&family, key, bytes, &self.write);
        written.map_err(self.failed("write to"))
    }

    pub(crate) fn delete(&self, family: &str, key: &[u8]) -> Result<(), StateError> {
        let family = self.family(family)?;
        let written = self.db.delete_cf_opt(&family, key, &self.write);
        written.map_err(self.failed("write to"))
    }

    pub(crate) fn scan(
        &self,
        family: &str,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut RowVisitor<'_>,
    ) -> Result<(), StateError> {
        let family = self.family(family)?;
        let mut options = ReadOptions::default();
        if let Some(to) = to {
            options.set_iterate_upper_bound(to);
        }
        let mut rows = self.db.raw_iterator_cf_opt(&family, options);
        rows.seek(from);
        while let Some((key, value)) = rows.item() {
            if visit(key, value)?.is_break() {
                return Ok(());
            }
            rows.next();
        }
        rows.status().map_err(self.failed("read from"))
    }

    /// Links the files of this moment into a new directory, after writing what is in memory.
    pub(crate) fn checkpoint(&self, directory: &Path) -> Result<(), RocksDbStateError> {
        let failed = |error| failure("snapshot", &self.path, error);
        Checkpoint::new(&self.db).map_err(failed)?.create_checkpoint(directory).map_err(failed)
    }

    /// Removes the rows of a range: whole files at once, the rest by a mark. A range without rows
    /// gets no mark.
    pub(crate) fn delete_range(
        &self,
        family: &str,
        from: &[u8],
        to: &[u8],
    ) -> Result<(), StateError> {
        let mut has_rows = false;
        self.scan(family, from, Some(to), &mut |_, _| {
            has_rows = true;
            Ok(ControlFlow::Break(()))
        })?;
        if !has_rows {
            return Ok(());
        }
        let family = self.family(family)?;
        let dropped = self.db.delete_file_in_range_cf(&family, from, to);
        dropped.map_err(self.failed("remove rows from"))?;
        let marked = self.db.delete_range_cf_opt(&family, from, to, &self.write);
        marked.map_err(self.failed("remove rows from"))
    }

    /// The paths of a family's files, when what is in memory has been written.
    fn files_of(&self, family: &str) -> Result<Vec<PathBuf>, StateError> {
        let live = self.db.live_files().map_err(self.failed("list the files of"))?;
        let own = live.into_iter().filter(|file| file.column_family_name == family);
        Ok(own.map(|file| self.path.join(file.name.trim_start_matches('/'))).collect())
    }

    /// Takes over all files of a family of `other` as they are. They must not meet what is here;
    /// `false` when RocksDB does not take them, and nothing has changed.
    pub(crate) fn take_files(&self, other: &Self, family: &str) -> Result<bool, StateError> {
        let paths = other.files_of(family)?;
        if paths.is_empty() {
            return Ok(true);
        }
        let mut options = IngestExternalFileOptions::default();
        options.set_allow_db_generated_files(true);
        options.set_move_files(false);
        options.set_snapshot_consistency(false);
        let family = self.family(family)?;
        Ok(self.db.ingest_external_file_cf_opts(&family, &options, paths).is_ok())
    }

    /// Copies a range of a family of `other`: into files, which are then taken in whole.
    pub(crate) fn copy_range(
        &self,
        other: &Self,
        family: &str,
        (from, to): (&[u8], &[u8]),
        scratch: &Path,
    ) -> Result<(), StateError> {
        let options = family_options(&self.tuning, &FamilyExpiry::default());
        let mut paths: Vec<PathBuf> = Vec::new();
        let mut writer: Option<SstFileWriter<'_>> = None;
        other.scan(family, from, Some(to), &mut |key, value| {
            if writer.as_ref().is_some_and(|writer| writer.file_size() >= INGESTED_MAX) {
                let done = writer.take().map_or(Ok(()), |mut done| done.finish());
                done.map_err(self.failed("write a file for"))?;
            }
            if writer.is_none() {
                let path = scratch.join(format!("ingest-{}.sst", paths.len()));
                let mut new = SstFileWriter::create(&options);
                new.open(&path).map_err(self.failed("write a file for"))?;
                paths.push(path);
                writer = Some(new);
            }
            let writer = writer.as_mut().expect("it was just made");
            writer.put(key, value).map_err(self.failed("write a file for"))?;
            Ok(ControlFlow::Continue(()))
        })?;
        let Some(mut last) = writer else { return Ok(()) };
        last.finish().map_err(self.failed("write a file for"))?;
        drop(last);
        let mut ingest = IngestExternalFileOptions::default();
        ingest.set_move_files(true);
        let family = self.family(family)?;
        let taken = self.db.ingest_external_file_cf_opts(&family, &ingest, paths);
        taken.map_err(self.failed("take files into"))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Compactions are of no use any more: nobody will read what they make.
        self.db.cancel_all_background_work(true);
    }
}

fn database_options(tuning: &Tuning) -> Options {
    let config = &tuning.config;
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_write_buffer_manager(&tuning.memory.write_buffers);
    options.set_max_background_jobs(i32::try_from(config.threads.get()).unwrap_or(i32::MAX));
    // The manifest of a checkpoint is a copy, and should be small.
    options.set_max_manifest_file_size(1 << 20);
    options.set_keep_log_file_num(1);
    options.set_max_log_file_size(1 << 20);
    options.set_stats_dump_period_sec(0);
    options.set_allow_concurrent_memtable_write(false);
    options
}

fn family_options(tuning: &Tuning, expiry: &FamilyExpiry) -> Options {
    let config = &tuning.config;
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&tuning.memory.cache);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    if let Some(bits) = config.bloom_bits_per_key {
        table.set_bloom_filter(bits, false);
    }
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_write_buffer_size(config.write_buffer_bytes.get());
    let buffers = i32::try_from(config.write_buffers_max.get()).unwrap_or(i32::MAX);
    options.set_max_write_buffer_number(buffers);
    options.set_compression_type(match config.compression {
        Compression::None => DBCompressionType::None,
        Compression::Lz4 => DBCompressionType::Lz4,
        Compression::Zstd => DBCompressionType::Zstd,
    });
    options.set_merge_operator_associative("tidegate.append", append);
    let (expiry, now_ms) = (Arc::clone(expiry), Arc::clone(&tuning.now_ms));
    options.set_compaction_filter("tidegate.expiry", move |_, _, value| match expiry.get() {
        Some(expiry) if expiry.is_expired(value, now_ms.load(Ordering::Relaxed)) => {
            CompactionDecision::Remove
        }
        _ => CompactionDecision::Keep,
    });
    options
}

/// The merge operator: what was appended comes behind what was there.
#[expect(clippy::unnecessary_wraps, reason = "the signature is the crate's")]
fn append(_: &[u8], existing: Option<&[u8]>, operands: &MergeOperands) -> Option<Vec<u8>> {
    let existing = existing.unwrap_or_default();
    let length = operands.iter().map(<[u8]>::len).sum::<usize>();
    let mut merged = Vec::with_capacity(existing.len() + length);
    merged.extend_from_slice(existing);
    operands.iter().for_each(|operand| merged.extend_from_slice(operand));
    Some(merged)
}

fn failure(action: &'static str, path: &Path, error: rocksdb::Error) -> RocksDbStateError {
    let (path, text) = (shown(path), error.as_ref().to_owned());
    let source = Box::new(error);
    // RocksDB says no more than this of what the system said.
    let is_io = text.starts_with("IO error");
    if text.contains("No space left on device") || text.contains("NoSpace") {
        RocksDbStateError::Full { action, path, source }
    } else if is_io && text.contains("LOCK") {
        RocksDbStateError::Locked { path, source }
    } else {
        RocksDbStateError::Database { action, path, source }
    }
}

/// Whether RocksDB does not understand what it was given, rather than being unable to read it.
pub(crate) fn is_not_understood(error: &RocksDbStateError) -> bool {
    let RocksDbStateError::Database { source, .. } = error else { return false };
    source.downcast_ref::<rocksdb::Error>().is_some_and(|error| {
        matches!(
            error.kind(),
            ErrorKind::Corruption | ErrorKind::NotSupported | ErrorKind::InvalidArgument
        )
    })
}
