//! The bytes of version 1, as they were when it was fixed; and a reader of them that knows nothing
//! but `docs/format.md`.

use tidegate_meta::{MetadataView, encode};
use tidegate_types::Digest;

use crate::sample;

const GOLDEN: &[u8] = include_bytes!("../../testdata/v1/checkpoint.metadata");
const DOCUMENT: &str = include_str!("../../../../docs/format.md");

#[test]
fn the_golden_file_of_version_1_is_read() {
    assert_eq!(MetadataView::open(GOLDEN).unwrap().to_metadata(), sample::metadata());
}

#[test]
fn version_1_is_written_as_the_golden_file() {
    let bytes = encode(&sample::metadata()).unwrap();
    if std::env::var_os("TIDEGATE_WRITE_GOLDEN").is_some() {
        std::fs::write("testdata/v1/checkpoint.metadata", &bytes).unwrap();
    }
    assert!(bytes == GOLDEN, "the bytes of version 1 changed: released files could not be read");
}

/// Reads by the document's rules: packed fields, lists as (offset from here, count).
#[derive(Clone, Copy)]
struct Cursor<'a> {
    payload: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    fn number(&mut self, bytes: usize) -> u64 {
        let field = &self.payload[self.position..self.position + bytes];
        self.position += bytes;
        field.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }

    fn take(&mut self, bytes: usize) -> &'a [u8] {
        self.position += bytes;
        &self.payload[self.position - bytes..self.position]
    }

    /// The first element of a list, and how many there are.
    fn list(&mut self) -> (Cursor<'a>, u64) {
        let base = self.position;
        let offset = self.number(4) as u32 as i32;
        let count = self.number(4);
        let position = base.checked_add_signed(offset as isize).unwrap();
        (Cursor { payload: self.payload, position }, count)
    }

    fn bytes(&mut self) -> &'a [u8] {
        let (mut start, count) = self.list();
        start.take(count as usize)
    }

    /// place, content, length, digest
    fn handle(&mut self) -> (u64, &'a [u8], u64, &'a [u8]) {
        (self.number(1), self.bytes(), self.number(8), self.take(16))
    }
}

#[test]
fn the_document_is_enough_to_read_the_golden_file() {
    assert_eq!(&GOLDEN[..8], b"TIDEGATE");
    let payload = &GOLDEN[64..];
    assert_eq!(GOLDEN[24..40], Digest::of(payload).to_bytes());
    // The root is the last 57 bytes.
    let mut root = Cursor { payload, position: payload.len() - 57 };
    assert_eq!(root.take(16), &(0..16).collect::<Vec<u8>>());
    assert_eq!(root.bytes(), b"tides");
    assert_eq!((root.number(8), root.number(8), root.number(1)), (42, 3, 1));
    assert_eq!(root.number(8), 951_782_400_123);
    let (mut operators, count) = root.list();
    assert_eq!(count, 2);

    assert_eq!(operators.bytes(), b"read gauges");
    assert_eq!((operators.number(2), operators.number(2)), (1, 128));
    assert_eq!(operators.list().1, 0);
    let (mut subtask, count) = operators.list();
    assert_eq!((count, subtask.number(2), subtask.number(1)), (1, 0, 2));
    assert_eq!(subtask.list().1, 0);
    let (mut list, count) = subtask.list();
    assert_eq!((count, list.bytes(), list.number(1)), (1, &b"splits"[..], 1));
    let (mut lengths, count) = list.list();
    assert_eq!((count, lengths.number(4), lengths.number(4)), (2, 2, 3));
    let digest = Digest::of(b"a:bcd").to_bytes();
    assert_eq!(list.handle(), (1, &b"a:bcd"[..], 5, &digest[..]));

    assert_eq!(operators.bytes(), b"count");
    assert_eq!((operators.number(2), operators.number(2)), (3, 128));
    let (mut registered, count) = operators.list();
    assert_eq!((count, registered.bytes(), registered.number(1)), (1, &b"levels"[..], 3));
    assert_eq!((registered.number(8), registered.number(4)), (0x0123_4567_89AB_CDEF, 2));
    assert_eq!(registered.bytes(), b"String -> u64");
    let (mut subtasks, count) = operators.list();
    assert_eq!(count, 2);
    subtasks.position += 27;
    assert_eq!((subtasks.number(2), subtasks.number(1)), (2, 1));
    let (mut keyed, _) = subtasks.list();
    assert_eq!((keyed.number(1), keyed.number(2), keyed.number(2)), (2, 64, 127));
    assert_eq!(keyed.handle().1, b"count-1");
    let (mut shared, _) = keyed.list();
    assert_eq!(shared.bytes(), b"7.segment");
    assert_eq!((shared.handle().0, shared.payload.len()), (3, payload.len()));
    assert_eq!(subtasks.list().1, 0);
    let (mut channel, _) = subtasks.list();
    assert_eq!((channel.number(1), channel.number(2), channel.number(2)), (1, 0, 1));
    assert_eq!(channel.list().1, 1);
    assert_eq!(channel.handle().1, b"hdfs://name/checkpoints/in-flight");
}

/// The bytes of a dump in the document; every line says where it stands.
fn dump(name: &str) -> Vec<u8> {
    let (_, rest) = DOCUMENT.split_once(&format!("```text {name}\n")).unwrap();
    let mut bytes = Vec::new();
    for line in rest.split("```").next().unwrap().lines() {
        let (offset, rest) = line.trim_start().split_once("  ").unwrap();
        assert_eq!(offset.parse(), Ok(bytes.len()), "{line}");
        let words = rest.split("  ").next().unwrap().split(' ');
        bytes.extend(words.map(|word| u8::from_str_radix(word, 16).unwrap()));
    }
    bytes
}

#[test]
fn the_document_shows_the_golden_file() {
    let shown = [dump("golden-header"), dump("golden-payload")].concat();
    for (offset, (found, expected)) in shown.iter().zip(GOLDEN).enumerate() {
        assert_eq!(found, expected, "at offset {offset} of the file");
    }
    assert_eq!(shown.len(), GOLDEN.len());
}
