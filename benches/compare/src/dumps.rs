//! What is done by hand today: the whole map, serialized into one file.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::trace::{Row, row, timed, value};

#[derive(Serialize, Deserialize, Clone, Copy)]
struct Value([u8; 32], [u8; 32]);

fn map(count: u64) -> HashMap<u64, Value> {
    let split = |key| {
        let bytes = value(key, 0);
        let half = |at: usize| bytes[at..at + 32].try_into().expect("32 bytes");
        Value(half(0), half(32))
    };
    (0..count).map(|key| (key, split(key))).collect()
}

type Encode<'a> = &'a dyn Fn(&HashMap<u64, Value>) -> Result<Vec<u8>>;
type Decode<'a> = &'a dyn Fn(&[u8]) -> Result<HashMap<u64, Value>>;

pub(crate) fn measure(count: u64) -> Result<Vec<Row>> {
    let map = map(count);
    let mut rows = Vec::new();
    let bincode = |map: &HashMap<u64, Value>| Ok(bincode::serialize(map)?);
    let postcard = |map: &HashMap<u64, Value>| Ok(postcard::to_stdvec(map)?);
    one("bincode", &map, &bincode, &|bytes| Ok(bincode::deserialize(bytes)?), &mut rows)?;
    one("postcard", &map, &postcard, &|bytes| Ok(postcard::from_bytes(bytes)?), &mut rows)?;
    Ok(rows)
}

fn one(
    who: &'static str,
    map: &HashMap<u64, Value>,
    encode: Encode<'_>,
    decode: Decode<'_>,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("dump");
    let (written, took) = timed(|| -> Result<usize> {
        let bytes = encode(map)?;
        let mut file = File::create(&path)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        Ok(bytes.len())
    });
    let each = written? as f64 / map.len() as f64;
    rows.push(row(who, "whole map: pause = to durable", format!("{took:.1?}")));
    rows.push(row(who, "whole map: bytes per entry", format!("{each:.1}")));
    let (loaded, took) = timed(|| decode(&std::fs::read(&path)?));
    let first = loaded?.get(&7).map_or(0, |value| value.0[7]);
    rows.push(row(who, "restore to first read, warm", format!("{took:.1?}")));
    std::hint::black_box(first);
    Ok(())
}
