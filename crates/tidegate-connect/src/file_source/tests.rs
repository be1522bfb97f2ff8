//! Every cut and every position against a naive reading of the whole file.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::Poll;

fn source(path: &Path, split_size: u64, buffer: usize) -> FileSource {
    let mut source = FileSource::lines(path).with_split_size(split_size);
    source.limits.buffer = buffer;
    source
}

fn rest<S: SplitSource>(source: &S, split: &S::Split) -> Vec<S::Record> {
    let mut records = Vec::new();
    let mut reader = source.open(split).unwrap();
    while reader.poll(3, &mut |record| records.push(record)).unwrap() != Poll::Finished {}
    records
}

// What `str::lines` makes of it; replacing what is not UTF-8 touches no line break.
fn naive(content: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(content).lines().map(str::to_owned).collect()
}

// Line breaks of all kinds are frequent, so that ranges begin on, before and behind them.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => Just(b"\n".to_vec()),
        2 => Just(b"\r\n".to_vec()),
        1 => Just(b"\r".to_vec()),
        1 => Just(b"\xff".to_vec()),
        1 => Just("\u{e4}".as_bytes().to_vec()),
        4 => "[a-z]{1,12}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_cut_gives_the_lines_of_the_whole_and_any_position_the_rest(
        content in content(),
        split_size in 1_u64..40,
        buffer in 1_usize..20,
        budget in 0_usize..8,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("input");
        fs::write(&file, &content).unwrap();
        let source = source(&file, split_size, buffer);
        let splits = source.splits().unwrap();
        let all: Vec<String> = splits.iter().flat_map(|split| rest(&source, split)).collect();
        prop_assert_eq!(all, naive(&content));

        for split in &splits {
            let whole = rest(&source, split);
            let mut reader = source.open(split).unwrap();
            let mut read = Vec::new();
            let state = reader.poll(budget, &mut |line| read.push(line)).unwrap();
            prop_assert_eq!(&read[..], &whole[..budget.min(whole.len())]);
            prop_assert!(state == Poll::Finished || read.len() == budget);
            let kept = FileSource::<LineFormat>::encode_split(&reader.position());
            let kept = FileSource::<LineFormat>::decode_split(&kept).unwrap();
            prop_assert_eq!(&rest(&source, &kept)[..], &whole[read.len()..]);
        }
    }

    #[test]
    fn csv_fields_are_what_was_written(
        rows in prop::collection::vec(prop::collection::vec("[a-c,\" ;\u{e4}]{0,6}", 3), 0..12),
        split_size in 1_u64..60,
        crlf in any::<bool>(),
    ) {
        let line_break = if crlf { "\r\n" } else { "\n" };
        let quote = |field: &String| match field.contains([',', '"']) {
            true => format!("\"{}\"", field.replace('"', "\"\"")),
            false => field.clone(),
        };
        let mut text = format!("\u{feff}one,\"t\"\"wo\",three{line_break}");
        for row in &rows {
            text += &row.iter().map(quote).collect::<Vec<_>>().join(",");
            text += line_break;
            text += line_break;
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("input.csv");
        fs::write(&file, &text).unwrap();
        let source = FileSource::csv(&file).with_split_size(split_size);
        let splits = source.splits().unwrap();
        let records: Vec<CsvRecord> = splits.iter().flat_map(|s| rest(&source, s)).collect();
        let fields: Vec<Vec<&str>> = records.iter().map(|r| r.fields().collect()).collect();
        prop_assert_eq!(&fields, &rows);
        for (record, row) in records.iter().zip(&rows) {
            prop_assert_eq!(record.get("t\"wo"), Some(&*row[1]));
            prop_assert_eq!(record.get("one"), record.field(0));
            prop_assert_eq!(record.get("four"), None);
        }
    }
}

// As long as the limit is accepted with either line break and with none, one byte more with none.
#[test]
fn the_line_limit_is_exact() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("input");
    for (limit, buffer) in (0..9).flat_map(|l| (1..9).map(move |b| (l, b))) {
        for ending in ["\n", "\r\n", "", "\nx\n"] {
            let source = source(&file, 1000, buffer).with_line_limit(limit);
            let line = "y".repeat(limit);
            fs::write(&file, format!("\n{line}{ending}")).unwrap();
            let split = &source.splits().unwrap()[0];
            if limit > 0 {
                assert_eq!(rest(&source, split)[1], line, "limit {limit}, buffer {buffer}");
            }
            fs::write(&file, format!("\n{line}y{ending}")).unwrap();
            let split = &source.splits().unwrap()[0];
            let mut reader = source.open(split).unwrap();
            let mut read = Vec::new();
            let error = reader.poll(9, &mut |line| read.push(line)).unwrap_err();
            assert!(
                matches!(error, ConnectError::LineTooLong { offset: 1, limit: l, .. } if l == limit),
                "{error}"
            );
            assert_eq!((read.len(), reader.position().position()), (1, 1), "up to the line");
        }
    }
}

#[test]
fn a_line_over_the_limit_needs_no_memory_and_is_skipped_by_other_ranges() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("input");
    fs::write(&file, ["x".repeat(1 << 20), "y".to_owned()].join("\n")).unwrap();
    let source = source(&file, 1 << 19, 64).with_line_limit(1000);
    let splits = source.splits().unwrap();
    let mut first = source.open(&splits[0]).unwrap();
    first.poll(1, &mut |_| {}).expect_err("the line is too long");
    assert!(rest(&source, &splits[1]).is_empty());
    assert_eq!(rest(&source, &splits[2]), ["y"]);
}

#[test]
fn directories_give_their_visible_files_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let source = source(directory.path(), 1000, 1000);
    assert!(source.splits().unwrap().is_empty(), "an empty directory is allowed");
    for (name, content) in [("b", "2"), ("a", "1"), (".hidden", "0"), ("empty", ""), ("c", "3")] {
        fs::write(directory.path().join(name), content).unwrap();
    }
    fs::create_dir(directory.path().join("sub")).unwrap();
    let splits = source.splits().unwrap();
    let lines: Vec<_> = splits.iter().flat_map(|split| rest(&source, split)).collect();
    assert_eq!(lines, ["1", "2", "3"]);
}

#[test]
fn input_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    let error = source(&missing, 1, 1).splits().unwrap_err();
    assert!(matches!(&error, ConnectError::InputMissing { path } if *path == missing), "{error}");
    std::os::unix::fs::symlink("/nowhere/at/all", directory.path().join("link")).unwrap();
    let error = source(directory.path(), 1, 1).splits().unwrap_err();
    assert!(error.to_string().contains("link"), "{error}");
    let error = source(Path::new("/dev/null"), 1, 1).splits().unwrap_err();
    assert!(error.to_string().contains("/dev/null"), "{error}");
}

#[test]
fn input_that_changed_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("input");
    let write = |content: &str| fs::write(&file, content).unwrap();
    write("one\ntwo\nthree\nfour");
    let source = source(&file, 1000, 4);
    let whole = source.splits().unwrap().remove(0);
    let mut reader = source.open(&whole).unwrap();
    assert_eq!(reader.poll(1, &mut |_| {}).unwrap(), Poll::More);
    let behind_one = reader.position();

    write("one\ntwo\nthree\nfour and more\n");
    assert_eq!(rest(&source, &behind_one), ["two", "three", "four"], "only what was there");

    // Under the reader's hands, and before it is opened.
    write("one\ntwo\n");
    let error = loop {
        if let Err(error) = reader.poll(1, &mut |_| {}) {
            break error;
        }
    };
    assert!(matches!(error, ConnectError::InputChanged { expected: 18, .. }), "{error}");
    let error = source.open(&whole).err().unwrap();
    assert!(matches!(error, ConnectError::InputChanged { expected: 18, found: 8, .. }), "{error}");

    write("another file of that length, or longer");
    let error = source.open(&behind_one).err().unwrap();
    assert!(matches!(error, ConnectError::PositionLost { offset: 4, .. }), "{error}");

    fs::remove_file(&file).unwrap();
    let error = source.open(&whole).err().unwrap();
    assert!(matches!(error, ConnectError::InputChanged { found: 0, .. }), "{error}");
    assert!(rest(&source, &whole.at(18)).is_empty(), "what is read is not needed any more");
}

#[test]
fn csv_that_cannot_be_split_into_fields_is_named_with_its_offset() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("input.csv");
    let error = |content: &str| {
        fs::write(&file, content).unwrap();
        let source = FileSource::csv(&file);
        let split = source.splits().unwrap().remove(0);
        let opened = source.open(&split);
        opened.and_then(|mut reader| reader.poll(9, &mut |_| {})).unwrap_err()
    };
    let short = error("a,b\n1,2\n3\n");
    assert!(
        matches!(short, ConnectError::CsvFieldCount { offset: 8, expected: 2, found: 1, .. }),
        "{short}"
    );
    let open = error("a,b\n1,\"2\n3\"\n");
    assert!(matches!(open, ConnectError::CsvOpenQuote { offset: 4, .. }), "{open}");
    let header = error("a,\"b\n1,2\n");
    assert!(matches!(header, ConnectError::CsvOpenQuote { offset: 0, .. }), "{header}");
}
