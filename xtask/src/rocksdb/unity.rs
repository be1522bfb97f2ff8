//! The build itself: RocksDB's files in groups, each group as one unit for the compiler.
//!
//! Most of the time goes into headers, which the files of a group then share. The definitions are
//! those of the sys crate's own build script for a POSIX system with lz4 and zstd.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};

use super::Sources;

/// The library's file name.
pub(super) const LIBRARY: &str = "librocksdb.a";

/// Files of one unit: more share more, and need more memory at once (about 1 GiB at 16).
const GROUP: usize = 16;

const DEFINITIONS: [&str; 13] = [
    "LZ4=1",
    "ZSTD=1",
    "NDEBUG=1",
    "HAVE_ALIGNED_NEW",
    "HAVE_UINT128_EXTENSION",
    "OS_LINUX",
    "ROCKSDB_PLATFORM_POSIX",
    "ROCKSDB_LIB_IO_POSIX",
    "ROCKSDB_SCHED_GETCPU_PRESENT",
    "ROCKSDB_AUXV_GETAUXVAL_PRESENT",
    "ROCKSDB_FALLOCATE_PRESENT",
    "ROCKSDB_RANGESYNC_PRESENT",
    "ROCKSDB_PTHREAD_ADAPTIVE_MUTEX",
];

/// Whether these flags are right for this platform.
pub(super) fn is_supported() -> bool {
    cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))
}

/// The C++ compiler, as cargo's build scripts choose it.
pub(super) fn compiler() -> Command {
    Command::new(std::env::var_os("CXX").unwrap_or_else(|| "c++".into()))
}

/// All flags but the directories of headers.
pub(super) fn flags() -> Vec<String> {
    // RocksDB's checksums are ten times slower without the instructions of 2010.
    let flags = "-std=c++20 -O2 -g0 -w -fPIC -fno-rtti -fno-builtin-memcmp -ffunction-sections \
                 -fdata-sections -msse4.2 -mpclmul -include cstdint";
    let definitions = DEFINITIONS.iter().map(|definition| format!("-D{definition}"));
    flags.split_whitespace().map(str::to_owned).chain(definitions).collect()
}

/// Builds the library into `directory`, which exists and is empty, and leaves nothing else there.
pub(super) fn build(sources: &Sources, directory: &Path) -> Result<()> {
    let started = Instant::now();
    let list = fs::read_to_string(sources.rocksdb.join("rocksdb_lib_sources.txt"))
        .context("the sys crate's list of sources")?;
    let mut units = groups(list.lines());
    // The longest first, so that no core is idle at the end.
    units.sort_by_key(|unit| std::cmp::Reverse(unit.len()));
    let sum = units.len() + 1;
    let work = Mutex::new(units.into_iter().map(Unit::Group).collect::<VecDeque<_>>());
    work.lock().expect("nobody had it").push_back(Unit::Version);
    let done = Mutex::new(Vec::new());
    let jobs = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs)
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    loop {
                        let mut queue = work.lock().unwrap_or_else(PoisonError::into_inner);
                        let Some(unit) = queue.pop_front() else { return Ok(()) };
                        drop(queue);
                        let object = unit.compile(sources, directory);
                        if object.is_err() {
                            // Nothing more is begun; what runs is waited for.
                            work.lock().unwrap_or_else(PoisonError::into_inner).clear();
                        }
                        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                        done.push(object?);
                        let seconds = started.elapsed().as_secs();
                        eprintln!("RocksDB: {} of {sum} units, {seconds} s", done.len());
                    }
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("compiles"))
    })?;
    let mut objects = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    objects.sort();
    archive(&objects, directory)
}

/// One call of the compiler.
enum Unit<'a> {
    Group(Vec<&'a str>),
    /// What says which RocksDB it is; it lies in the sys crate itself.
    Version,
}

impl Unit<'_> {
    fn compile(&self, sources: &Sources, directory: &Path) -> Result<PathBuf> {
        let (name, source) = match self {
            Self::Version => ("version".to_owned(), sources.rocksdb.join("build_version.cc")),
            Self::Group(files) => {
                let name = files[0].trim_end_matches(".cc").replace('/', "-");
                let includes: Vec<String> =
                    files.iter().map(|file| format!("#include \"{file}\"")).collect();
                let includes = includes.join("\n") + "\n";
                let source = directory.join(format!("{name}.cc"));
                fs::write(&source, includes)?;
                (name, source)
            }
        };
        let object = directory.join(format!("{name}.o"));
        let mut command = compiler();
        command.args(flags());
        for include in
            ["rocksdb/include", "rocksdb", "", "rocksdb/third-party/gtest-1.8.1/fused-src"]
        {
            command.arg("-I").arg(sources.rocksdb.join(include));
        }
        command.arg("-I").arg(&sources.lz4).arg("-I").arg(&sources.zstd);
        let output = command.arg("-c").arg(&source).arg("-o").arg(&object).output();
        let output = output.context("cannot start the C++ compiler")?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            let first: Vec<&str> = errors.lines().take(20).collect();
            bail!("RocksDB's {name} does not compile:\n{}", first.join("\n"));
        }
        Ok(object)
    }
}

/// Neighbours of the same directory together. `db/c.cc` stays alone: it defines C names that others
/// use as their own.
fn groups<'a>(files: impl Iterator<Item = &'a str>) -> Vec<Vec<&'a str>> {
    const ALONE: &str = "db/c.cc";
    let directory = |file: &str| file.split('/').next().unwrap_or_default().to_owned();
    let mut groups: Vec<Vec<&str>> = Vec::new();
    // The version's source is a template here; the sys crate has it filled in.
    for file in files.map(str::trim).filter(|f| !f.is_empty() && *f != "util/build_version.cc") {
        match groups.last_mut() {
            Some(group)
                if group.len() < GROUP
                    && file != ALONE
                    && group[0] != ALONE
                    && directory(group[0]) == directory(file) =>
            {
                group.push(file);
            }
            _ => groups.push(vec![file]),
        }
    }
    groups
}

/// Archives the objects, and removes them and the units.
fn archive(objects: &[PathBuf], directory: &Path) -> Result<()> {
    let library = directory.join(LIBRARY);
    let status = Command::new("ar").arg("crs").arg(&library).args(objects).status();
    ensure!(status.context("cannot start `ar`")?.success(), "`ar` failed");
    for object in objects {
        fs::remove_file(object)?;
        let unit = object.with_extension("cc");
        if unit.exists() {
            fs::remove_file(unit)?;
        }
    }
    fs::File::open(&library)?.sync_all().context("cannot make the library durable")
}

#[test]
fn files_of_a_directory_are_compiled_together() {
    let many: Vec<String> = (0..20).map(|n| format!("db/{n:02}.cc")).collect();
    let list = ["cache/a.cc", "cache/b.cc", "db/c.cc"].into_iter();
    let list = list.chain(many.iter().map(String::as_str)).chain(["util/build_version.cc", ""]);
    let sizes: Vec<usize> = groups(list).iter().map(Vec::len).collect();
    assert_eq!(sizes, [2, 1, GROUP, 4]);
}
