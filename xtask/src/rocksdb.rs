//! `rocksdb`: RocksDB's C++ as a static library, built once for all clones of a user.
//!
//! The sources are those that the crate below `tidegate-state-rocksdb` ships. Left to itself its build
//! script compiles all of them again for each clone and each profile, one by one; here it is done once,
//! in large units, which takes a third of the time. The library is kept in the user's cache under a
//! name that says what it was made of, and appears there whole or not at all. What does not exist on a
//! platform (a C++ compiler that we know the flags of) is left to the build script.

mod unity;

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::{setup, shell};

/// Counted up when the way the library is built changes in a manner that flags do not show.
const RECIPE: u32 = 1;

/// What a command that compiles `tidegate-state-rocksdb` wants to have in its environment.
pub(crate) type Environment = Vec<(&'static str, OsString)>;

/// The task: prints the environment as a shell reads it, or runs `arguments` as a command with it.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let environment = environment()?;
    let [program, arguments @ ..] = arguments else {
        for (name, value) in environment {
            println!("export {name}='{}'", value.display().to_string().replace('\'', r"'\''"));
        }
        return Ok(());
    };
    let status = Command::new(program).args(arguments).envs(environment).status();
    let status = status.with_context(|| format!("cannot start `{program}`"))?;
    std::process::exit(status.code().unwrap_or(1));
}

/// The environment with which cargo finds the library; builds the library if it is not there yet.
pub(crate) fn environment() -> Result<Environment> {
    setup::bindings()?;
    let mut environment = bindgen();
    if !unity::is_supported() || std::env::var_os("ROCKSDB_LIB_DIR").is_some() {
        return Ok(environment);
    }
    let sources = Sources::find()?;
    let directory = cached(&sources)?;
    environment.push(("ROCKSDB_LIB_DIR", directory.into()));
    environment.push(("ROCKSDB_STATIC", "1".into()));
    environment.push(("ROCKSDB_INCLUDE_DIR", sources.rocksdb.join("rocksdb/include").into()));
    Ok(environment)
}

/// What bindgen needs beside libclang: the compiler's own headers, where clang's are not installed.
fn bindgen() -> Environment {
    let name = "BINDGEN_EXTRA_CLANG_ARGS";
    if std::env::var_os(name).is_some() || Path::new("/usr/lib/clang").exists() {
        return Vec::new();
    }
    let output = Command::new("cc").arg("-print-file-name=include").output();
    let Ok(output) = output else { return Vec::new() };
    let include = String::from_utf8_lossy(output.stdout.trim_ascii()).into_owned();
    if Path::new(&include).is_absolute() {
        vec![(name, format!("-I{include}").into())]
    } else {
        Vec::new()
    }
}

/// Where cargo keeps the sources that go into the library.
pub(crate) struct Sources {
    /// The version of the crate that has RocksDB's.
    version: String,
    rocksdb: PathBuf,
    lz4: PathBuf,
    zstd: PathBuf,
}

impl Sources {
    fn find() -> Result<Self> {
        let output = shell::cargo(["metadata", "--format-version=1", "--locked"])
            .output()
            .context("cannot start `cargo metadata`")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`cargo metadata` failed: {complaint}");
        let json: Value =
            serde_json::from_slice(&output.stdout).context("cargo metadata's JSON")?;
        let package = |name: &str| -> Result<(String, PathBuf)> {
            let packages = json["packages"].as_array().map_or(&[][..], Vec::as_slice);
            let found = packages.iter().find(|package| package["name"] == name);
            let found = found.with_context(|| format!("no package depends on {name}"))?;
            let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
            let manifest = PathBuf::from(text("manifest_path"));
            Ok((text("version"), manifest.parent().unwrap_or(&manifest).to_owned()))
        };
        let (version, rocksdb) = package("rust-librocksdb-sys")?;
        let lz4 = package("lz4-sys")?.1.join("liblz4/lib");
        let zstd = package("zstd-sys")?.1.join("zstd/lib");
        Ok(Self { version, rocksdb, lz4, zstd })
    }
}

/// The directory with the library made of `sources`, after building it if need be.
fn cached(sources: &Sources) -> Result<PathBuf> {
    let cache = cache()?;
    fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
    let key = key(sources)?;
    let directory = cache.join(&key);
    if directory.join(unity::LIBRARY).exists() {
        return Ok(directory);
    }
    // One builder at a time; who waited finds the library there.
    let lock = File::create(cache.join("lock")).context("cannot create the cache's lock")?;
    lock.lock().context("cannot lock the cache")?;
    if directory.join(unity::LIBRARY).exists() {
        return Ok(directory);
    }
    for entry in fs::read_dir(&cache)? {
        let path = entry?.path();
        // Its builder died: we hold the lock.
        if path.extension().is_some_and(|extension| extension == "unfinished") {
            fs::remove_dir_all(path)?;
        }
    }
    let unfinished = cache.join(format!("{key}.unfinished"));
    fs::create_dir(&unfinished)?;
    eprintln!("building RocksDB {} once, in {}", sources.version, directory.display());
    unity::build(sources, &unfinished)?;
    fs::rename(&unfinished, &directory)?;
    Ok(directory)
}

fn cache() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = match (set("XDG_CACHE_HOME"), set("HOME")) {
        (Some(cache), _) => PathBuf::from(cache),
        (None, Some(home)) => PathBuf::from(home).join(".cache"),
        (None, None) => bail!("neither XDG_CACHE_HOME nor HOME says where the cache is"),
    };
    Ok(base.join("tidegate/rocksdb"))
}

/// Says what the library is made of, and with what.
fn key(sources: &Sources) -> Result<String> {
    let output = unity::compiler().arg("--version").output().context("no C++ compiler")?;
    let mut made_of = output.stdout;
    made_of.extend(RECIPE.to_le_bytes());
    for word in unity::flags().iter().map(String::as_str).chain([std::env::consts::ARCH]) {
        made_of.extend(word.as_bytes());
        made_of.push(0);
    }
    // The names of the directories have the versions.
    for directory in [&sources.lz4, &sources.zstd] {
        made_of.extend(directory.as_os_str().as_encoded_bytes());
    }
    Ok(format!("{}-{:016x}", sources.version, fnv1a(&made_of)))
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[test]
fn the_key_is_a_known_hash() {
    assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
    assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
}
