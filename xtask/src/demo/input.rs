//! The demo's input: the flights of 2013, unpacked once.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::shell;

/// Flights in the data set: its lines without the header.
const FLIGHTS: usize = 336_776;
/// The unpacked file's length in bytes.
const LENGTH: u64 = 31_053_850;

/// Unpacks the data set to `directory/flights.csv`, unless it lies there. Returns its flights.
pub(super) fn unpack(directory: &Path) -> Result<usize> {
    let file = directory.join("flights.csv");
    if !fs::metadata(&file).is_ok_and(|metadata| metadata.len() == LENGTH) {
        let packed = shell::root().join("examples/data/flights.csv.zst");
        unpack_file(&packed, &file)
            .with_context(|| format!("cannot unpack {}", packed.display()))?;
    }
    Ok(FLIGHTS)
}

fn unpack_file(packed: &Path, file: &Path) -> Result<()> {
    let directory = file.parent().context("a file in a directory")?;
    fs::create_dir_all(directory)?;
    // Beside the input directory, not in it: jobs read every file there.
    let unfinished = directory.with_extension("unfinished");
    let mut reader = zstd::Decoder::new(BufReader::new(File::open(packed)?))?;
    let mut writer = BufWriter::new(File::create(&unfinished)?);
    io::copy(&mut reader, &mut writer)?;
    writer.flush()?;
    Ok(fs::rename(&unfinished, file)?)
}
