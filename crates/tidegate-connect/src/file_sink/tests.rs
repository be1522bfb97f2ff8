//! The world stops before every step, also while it recovers from such a stop.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidegate_types::{AttemptId, OperatorUid, Parallelism, Subtask};

use super::disk::Step;
use super::*;
use crate::{FileOperation, TwoPhaseSink};

const JOB: JobId = JobId::from_bytes([7; 16]);
const LINES: u64 = 30;
const LINES_PER_CHECKPOINT: u64 = 6;

/// What a coordinator keeps durably.
#[derive(Clone)]
struct Checkpoint {
    id: CheckpointId,
    position: u64,
    committables: Vec<Vec<u8>>,
}

fn context(subtask: u16, parallelism: u16, attempt: u64) -> SinkContext {
    SinkContext {
        job: JOB,
        operator: OperatorUid::new("sink").unwrap(),
        subtask: Subtask::new(subtask, Parallelism::new(parallelism).unwrap()),
        attempt: AttemptId::new(attempt),
    }
}

/// A job that writes the numbers below `LINES`, from its last checkpoint to the end or to an error.
/// Checkpoints whose id divides by 3 are aborted when their output is already prepared.
fn run(
    sink: &FileSink,
    last: &mut Option<Checkpoint>,
    attempt: u64,
    parallelism: u16,
) -> Result<(), ConnectError> {
    let _ownership = sink.prepare_job(JOB, last.is_some())?;
    let restored = last.as_ref().map_or(&[][..], |last| &last.committables);
    sink.recover_job(JOB, last.as_ref().map(|last| last.id), restored)?;
    let mut writers = (0..parallelism)
        .map(|subtask| sink.open(&context(subtask, parallelism, attempt)))
        .collect::<Result<Vec<_>, _>>()?;
    let mut position = last.as_ref().map_or(0, |last| last.position);
    let mut id = last.as_ref().map_or(CheckpointId::FIRST, |last| last.id.next());
    let mut uncommitted: Vec<Vec<Vec<u8>>> = vec![Vec::new(); writers.len()];
    while position < LINES {
        let chosen = usize::try_from(position).unwrap() % writers.len();
        writers[chosen].write(format!("line {position}"))?;
        position += 1;
        if !position.is_multiple_of(LINES_PER_CHECKPOINT) {
            continue;
        }
        for (writer, uncommitted) in writers.iter_mut().zip(&mut uncommitted) {
            uncommitted.extend(writer.prepare(id)?);
        }
        if !id.get().is_multiple_of(3) || position == LINES {
            *last = Some(Checkpoint { id, position, committables: uncommitted.concat() });
            for (writer, uncommitted) in writers.iter_mut().zip(&mut uncommitted) {
                writer.commit(uncommitted)?;
                // As when the notification comes for the second time.
                writer.commit(uncommitted)?;
                uncommitted.clear();
            }
        }
        id = id.next();
    }
    Ok(())
}

/// A sink whose every step from number `stops_at` on fails, as after the death of the process.
fn stopping(directory: &Path, stops_at: usize) -> (FileSink, Arc<AtomicUsize>) {
    let steps = Arc::new(AtomicUsize::new(0));
    let taken = Arc::clone(&steps);
    let hook = move |_: Step, _: &Path| {
        if taken.fetch_add(1, Ordering::Relaxed) >= stops_at {
            return Err(io::Error::other("stopped"));
        }
        Ok(())
    };
    // A small buffer, so that a stop between two writes of a file occurs too.
    let sink = FileSink::on(Disk::with_hook(directory, Box::new(hook))).with_buffer_size(10);
    (sink, steps)
}

fn visible_lines(directory: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if !path.file_name().unwrap().to_str().unwrap().starts_with('.') {
            let text = fs::read_to_string(path).unwrap();
            assert!(text.is_empty() || text.ends_with('\n'), "half a line: {text:?}");
            lines.extend(text.lines().map(str::to_owned));
        }
    }
    lines
}

fn assert_no_line_twice(directory: &Path, when: &str) {
    let lines = visible_lines(directory);
    let distinct: HashSet<_> = lines.iter().collect();
    assert_eq!(distinct.len(), lines.len(), "a line is there twice {when}: {lines:?}");
}

fn assert_complete(directory: &Path, when: &str) {
    let mut lines = visible_lines(directory);
    lines.sort_unstable();
    let mut expected: Vec<_> = (0..LINES).map(|n| format!("line {n}")).collect();
    expected.sort_unstable();
    assert_eq!(lines, expected, "{when}");
    let names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| names::is_uncommitted(name))
        .collect();
    assert!(names.is_empty(), "leftovers {when}: {names:?}");
}

#[test]
fn stopped_anywhere_and_again_anywhere_each_line_is_there_once() {
    let mut runs = 0;
    for first in 0.. {
        let mut finished_without_stop = false;
        // A second stop in steps of 1 through the recovery, then coarser through the rest.
        for second in (0..25).chain((25..100).step_by(9)) {
            let directory = tempfile::tempdir().unwrap();
            let output = directory.path().join("made/output");
            let (mut last, when) = (None, format!("stopped at {first}, then at {second}"));
            finished_without_stop = run(&stopping(&output, first).0, &mut last, 1, 2).is_ok();
            assert_no_line_twice(&output, &when);
            if finished_without_stop {
                assert_complete(&output, &when);
                break;
            }
            // The same attempt number twice (the first may have died before it was kept), another
            // parallelism the second time.
            let attempt = 1 + u64::from(last.is_some());
            let _ = run(&stopping(&output, second).0, &mut last, attempt, 2);
            assert_no_line_twice(&output, &when);
            run(&FileSink::new(&output), &mut last, attempt + 1, 3).unwrap();
            assert_complete(&output, &when);
            runs += 1;
        }
        if finished_without_stop {
            break;
        }
    }
    assert!(runs > 1000, "the steps of a run were not counted: {runs} stops");
}

#[test]
fn content_is_durable_before_it_gets_its_name_and_names_before_they_are_told() {
    use Step::{CreateFile, Rename, SyncDirectory, SyncFile, Write};
    let directory = tempfile::tempdir().unwrap();
    let steps = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&steps);
    let hook = move |step, _: &Path| {
        taken.lock().unwrap().push(step);
        Ok(())
    };
    let sink = FileSink::on(Disk::with_hook(directory.path(), Box::new(hook)));
    let mut writer = sink.open(&context(0, 1, 1)).unwrap();
    assert!(writer.prepare(CheckpointId::FIRST).unwrap().is_empty(), "nothing was written");
    assert!(steps.lock().unwrap().is_empty());
    writer.write_line("a").unwrap();
    let sealed = writer.seal(CheckpointId::FIRST).unwrap();
    assert_eq!(*steps.lock().unwrap(), [CreateFile, Write], "sealing is quick");
    writer.write_line("of the next checkpoint").unwrap();
    let committables = sealed.finish().unwrap();
    assert_eq!(steps.lock().unwrap()[2..], [SyncFile, Rename, SyncDirectory]);
    writer.commit(&committables).unwrap();
    assert_eq!(steps.lock().unwrap()[5..], [Rename, SyncDirectory]);
    assert_eq!(visible_lines(directory.path()), ["a"]);
}

#[test]
fn an_older_checkpoint_takes_back_what_was_committed_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path();
    let sink = FileSink::new(output);
    let mut last = None;
    run(&sink, &mut last, 1, 2).unwrap();
    let second = CheckpointId::new(2).unwrap();
    let mut older =
        Some(Checkpoint { id: second, position: 2 * LINES_PER_CHECKPOINT, committables: vec![] });
    for attempt in [2, 2, 3] {
        let before = older.clone();
        run(&sink, &mut older, attempt, 2).unwrap();
        assert_complete(output, "after going on from the second checkpoint");
        older = before;
    }
    let recovery = sink.recover_job(JOB, Some(second), &[]).unwrap();
    assert_eq!(recovery.taken_back.len(), 6, "three checkpoints of two subtasks: {recovery:?}");
    assert_eq!(visible_lines(output).len() as u64, 2 * LINES_PER_CHECKPOINT);
    assert_eq!(sink.recover_job(JOB, Some(second), &[]).unwrap(), Recovery::default());
}

fn committed(sink: &FileSink) -> Vec<Vec<u8>> {
    let mut writer = sink.open(&context(0, 1, 1)).unwrap();
    writer.write_line("some line").unwrap();
    writer.prepare(CheckpointId::FIRST).unwrap()
}

#[test]
fn output_that_is_lost_or_damaged_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let sink = FileSink::new(directory.path());
    let recover = |committables: &[Vec<u8>]| {
        sink.recover_job(JOB, Some(CheckpointId::FIRST), committables).unwrap_err()
    };
    let committables = committed(&sink);
    let pending = directory.path().join(".pending-0000-000001-1");
    let visible = directory.path().join("part-0000-000001-1");
    fs::write(&pending, "other lin\n").unwrap();
    let error = recover(&committables);
    assert!(matches!(&error, ConnectError::OutputChanged { path, .. } if *path == pending));
    assert!(pending.exists() && !visible.exists(), "what is damaged is neither used nor removed");

    fs::remove_file(&pending).unwrap();
    let error = recover(&committables);
    let message = error.to_string();
    assert!(matches!(error, ConnectError::OutputLost { .. }), "{message}");
    assert!(message.contains(".pending-0000-000001-1"), "{message}");
    assert!(message.contains("/part-0000-000001-1"), "{message}");

    fs::write(&visible, "a foreign file").unwrap();
    let error = recover(&committables);
    assert!(matches!(&error, ConnectError::OutputChanged { path, .. } if *path == visible));
    fs::remove_file(&visible).unwrap();

    // Where the pending file should go, another file is in the way.
    let committables = committed(&sink);
    fs::write(&visible, "some lime\n").unwrap();
    let error = recover(&committables);
    assert!(matches!(&error, ConnectError::OutputChanged { path, .. } if *path == visible));
    assert_eq!(fs::read(&visible).unwrap(), b"some lime\n");

    // Both names: a rename in two steps was stopped between them.
    fs::remove_file(&visible).unwrap();
    fs::hard_link(&pending, &visible).unwrap();
    let recovery = sink.recover_job(JOB, Some(CheckpointId::FIRST), &committables).unwrap();
    assert_eq!(recovery, Recovery::default());
    assert_eq!(visible_lines(directory.path()), ["some line"]);
    assert!(!pending.exists());
}

#[test]
fn a_directory_belongs_to_one_job() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("output");
    let sink = FileSink::new(&output);
    let other = JobId::from_bytes([8; 16]);

    let ownership = sink.prepare_job(JOB, false).unwrap();
    let error = FileSink::new(&output).prepare_job(JOB, true).unwrap_err();
    assert!(
        matches!(&error, ConnectError::OutputInUse { directory, owner: Some(JOB) }
            if *directory == output),
        "{error}"
    );
    drop(ownership);

    // Nothing is committed: whoever comes takes the place of the dead, and removes what he left.
    let leftovers = committed(&sink);
    drop(sink.prepare_job(other, false).unwrap());
    assert_eq!(fs::read_dir(&output).unwrap().count(), 1, "just the owner's mark");
    drop(sink.prepare_job(JOB, false).unwrap());
    assert!(sink.recover_job(JOB, Some(CheckpointId::FIRST), &leftovers).is_err());

    // Committed output is its job's, and only when that goes on.
    let mut writer = sink.open(&context(0, 1, 1)).unwrap();
    writer.commit(&committed(&sink)).unwrap();
    let pending = writer.write_line("x").and_then(|()| writer.prepare(CheckpointId::FIRST.next()));
    for (job, restored) in [(JOB, false), (other, false), (other, true)] {
        let error = sink.prepare_job(job, restored).unwrap_err();
        assert!(
            matches!(error, ConnectError::ForeignOutput { owner: Some(JOB), .. }),
            "{job} {restored}: {error}"
        );
        assert!(error.to_string().contains("tidegate run -s"), "{error}");
    }
    drop(sink.prepare_job(JOB, true).unwrap());
    let second = Some(CheckpointId::FIRST.next());
    let recovery = sink.recover_job(JOB, second, &pending.unwrap()).unwrap();
    assert_eq!(recovery.committed, 1, "the refused ones have removed nothing");
    assert_eq!(visible_lines(&output).len(), 2);
}

#[test]
fn files_of_unknown_origin_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("holiday.jpg"), "x").unwrap();
    let sink = FileSink::new(directory.path());
    for restored in [false, true] {
        let error = sink.prepare_job(JOB, restored).unwrap_err();
        assert!(matches!(error, ConnectError::ForeignOutput { owner: None, .. }), "{error}");
    }
    let error = FileSink::new(directory.path().join("holiday.jpg")).prepare_job(JOB, false);
    assert!(matches!(error.unwrap_err(), ConnectError::Io { .. }));
}

#[test]
fn a_writer_that_failed_once_never_prepares() {
    let directory = tempfile::tempdir().unwrap();
    let failures = AtomicUsize::new(0);
    let hook = move |step: Step, _: &Path| match step {
        Step::Write if failures.fetch_add(1, Ordering::Relaxed) == 1 => {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }
        _ => Ok(()),
    };
    let sink = FileSink::on(Disk::with_hook(directory.path(), Box::new(hook))).with_buffer_size(1);
    let mut writer = sink.open(&context(0, 1, 1)).unwrap();
    writer.write_line("written").unwrap();
    let error = writer.write_line("lost").unwrap_err();
    assert!(matches!(error, ConnectError::Io { operation: FileOperation::Write, .. }), "{error}");
    writer.prepare(CheckpointId::FIRST).expect_err("a file that lacks a line was prepared");
    drop(writer);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}
