//! Any bytes as what a checkpoint keeps for a source or a sink: an error, or a value that is kept
//! as the same bytes; and opening or committing it does no harm.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tidegate_connect::{
    FileSink, FileSource, Generator, LineFormat, SinkContext, SinkFactory, SplitSource,
    TwoPhaseSink,
};
use tidegate_fuzz::Scratch;
use tidegate_types::{AttemptId, JobId, OperatorUid, Parallelism, Subtask};

static SCRATCH: LazyLock<Scratch> = LazyLock::new(|| Scratch::new("unused"));

fuzz_target!(|bytes: &[u8]| {
    if let Ok(split) = FileSource::<LineFormat>::decode_split(bytes) {
        assert_eq!(FileSource::<LineFormat>::encode_split(&split), bytes);
        assert!(split.start() <= split.position() && split.position() <= split.file_length());
    }
    if let Ok(split) = Generator::<u64>::decode_split(bytes) {
        assert_eq!(Generator::<u64>::encode_split(&split), bytes);
        let generator = Generator::new(100, |number| number);
        if let Ok(mut reader) = generator.open(&split) {
            let mut read = 0;
            let polled = reader.poll(3, &mut |_| read += 1);
            assert!(polled.is_ok() && read <= 3);
            assert_eq!(reader.position().next(), split.next() + read);
        }
    }
    commit(bytes);
});

/// There is no output in the directory, so nothing can be committed.
fn commit(bytes: &[u8]) {
    let sink = FileSink::new(SCRATCH.directory());
    let context = SinkContext {
        job: JobId::from_bytes([7; 16]),
        operator: OperatorUid::new("out").expect("a valid uid"),
        subtask: Subtask::new(0, Parallelism::ONE),
        attempt: AttemptId::new(1),
    };
    let mut writer = sink.open(&context).expect("the directory is there");
    let error = writer.commit(&[bytes.to_vec()]).expect_err("there is no output");
    drop(error.to_string());
}
