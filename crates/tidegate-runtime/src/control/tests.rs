//! The two sides together, over real sockets.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tidegate_types::{AttemptId, JobId};

use super::*;

fn registration(id: u8) -> JobRegistration {
    JobRegistration {
        started_at_ms: u64::from(id),
        ..JobRegistration::current(
            JobId::from_bytes([id; 16]),
            "count words",
            "file:///x".to_owned(),
            AttemptId::new(3),
        )
    }
}

fn refusing() -> ControlHandler {
    Arc::new(|_| ControlResponse::Refused { reason: "busy".to_owned() })
}

#[test]
fn a_job_is_found_asked_and_gone() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("run");
    assert_eq!(list_jobs(&directory).unwrap(), []);

    let cancelled = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&cancelled);
    let report = JobStatusReport {
        state: JobState::Running,
        completed_checkpoints: 7,
        latest_checkpoint: Some(9),
        ..JobStatusReport::default()
    };
    let answer = ControlResponse::Status(report.clone());
    let handler: ControlHandler = Arc::new(move |request| match request {
        ControlRequest::Savepoint { .. }
        | ControlRequest::Stop { .. }
        | ControlRequest::SavepointStatus { .. } => unreachable!("nobody asks for a savepoint"),
        ControlRequest::Status => answer.clone(),
        ControlRequest::Cancel => {
            seen.fetch_add(1, Ordering::Relaxed);
            ControlResponse::Accepted
        }
    });
    let second = ControlServer::start(&directory, registration(2), Arc::clone(&handler)).unwrap();
    let first = ControlServer::start(&directory, registration(1), handler).unwrap();

    let jobs = list_jobs(&directory).unwrap();
    assert_eq!(jobs, [first.entry().clone(), second.entry().clone()], "oldest first");
    let entry = &jobs[0];
    assert_eq!(entry.job_id, "01".repeat(16));
    assert_eq!((entry.job_name.as_str(), entry.attempt), ("count words", 3));
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(entry.path.clone()), mode(entry.socket())), (0o600, 0o600));

    let status = request(entry, &ControlRequest::Status).unwrap();
    assert_eq!(status, ControlResponse::Status(report));
    assert_eq!(request(entry, &ControlRequest::Cancel).unwrap(), ControlResponse::Accepted);
    assert_eq!(cancelled.load(Ordering::Relaxed), 1);
    assert!(!wait_until_ended(entry, Some(Duration::ZERO)));

    drop(first);
    assert_eq!(list_jobs(&directory).unwrap(), [second.entry().clone()]);
    assert!(matches!(
        request(entry, &ControlRequest::Status),
        Err(ControlError::Unreachable { .. })
    ));
    drop(second);
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn what_a_killed_job_left_behind_is_removed() {
    let parent = tempfile::tempdir().unwrap();
    let server = ControlServer::start(parent.path(), registration(1), refusing()).unwrap();
    let mut dead = server.entry().clone();
    // The process id was given to another process since.
    dead.process_start_time += 1;
    dead.path = parent.path().join("dead-1.json");
    fs::write(&dead.path, serde_json::to_vec(&dead).unwrap()).unwrap();
    fs::write(dead.socket(), "").unwrap();
    // Nor is a file removed that is not understood.
    fs::write(parent.path().join("other.json"), "{\"version\": 2}").unwrap();

    assert_eq!(list_jobs(parent.path()).unwrap(), [server.entry().clone()]);
    assert!(!dead.path.exists() && !dead.socket().exists());
    assert!(parent.path().join("other.json").exists());
}

#[test]
fn an_entry_whose_process_is_unknown_here_lives_while_its_socket_answers() {
    let parent = tempfile::tempdir().unwrap();
    let server = ControlServer::start(parent.path(), registration(1), refusing()).unwrap();
    let mut elsewhere = server.entry().clone();
    elsewhere.process_start_time += 1;
    fs::write(&elsewhere.path, serde_json::to_vec(&elsewhere).unwrap()).unwrap();
    assert_eq!(list_jobs(parent.path()).unwrap(), [elsewhere]);
}

#[test]
fn a_job_is_not_registered_twice_but_over_what_is_stale() {
    let parent = tempfile::tempdir().unwrap();
    let server = ControlServer::start(parent.path(), registration(1), refusing()).unwrap();
    let again = ControlServer::start(parent.path(), registration(1), refusing());
    assert!(matches!(again, Err(ControlError::AlreadyRegistered { .. })), "{again:?}");
    let entry = server.entry().clone();
    drop(server);

    fs::write(&entry.path, serde_json::to_vec(&entry).unwrap()).unwrap();
    fs::write(entry.socket(), "").unwrap();
    let server = ControlServer::start(parent.path(), registration(1), refusing()).unwrap();
    assert!(request(server.entry(), &ControlRequest::Status).is_ok());
}

#[test]
fn nothing_that_a_client_sends_stops_the_server() {
    let parent = tempfile::tempdir().unwrap();
    let server = ControlServer::start(parent.path(), registration(1), refusing()).unwrap();
    let socket = server.entry().socket();
    let send = |bytes: &[u8]| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        // The server may hang up in the middle.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    for request in [&b"\"dance\"\n"[..], b"{}\n", b"\n", b"{\"status\": 1}\n"] {
        let answer = send(request);
        assert!(answer.starts_with("{\"refused\":{\"reason\":\"unknown request"), "{answer}");
    }
    // Blanks before JSON are allowed, so that only the length speaks against the last one.
    let long = [vec![b' '; 70_000], b"\"status\"\n".to_vec()].concat();
    for request in [&b""[..], b"\"status\"", b"\xff\n", &long] {
        assert_eq!(send(request), "", "there is no line to answer");
    }
    let answer = request(server.entry(), &ControlRequest::Status).unwrap();
    assert_eq!(answer, ControlResponse::Refused { reason: "busy".to_owned() });
}

#[test]
fn a_client_that_dawdles_delays_nobody_for_long() {
    let parent = tempfile::tempdir().unwrap();
    let server = ControlServer::start(parent.path(), registration(1), refusing()).unwrap();
    let mut slow = UnixStream::connect(server.entry().socket()).unwrap();
    slow.write_all(b"\"sta").unwrap();
    let started = Instant::now();
    assert!(request(server.entry(), &ControlRequest::Status).is_ok());
    assert!(started.elapsed() < Duration::from_secs(4));
    drop(server);
}

#[test]
fn a_directory_too_long_for_a_socket_is_an_error_with_advice() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("d".repeat(90));
    let error = ControlServer::start(&directory, registration(1), refusing()).unwrap_err();
    assert!(matches!(error, ControlError::PathTooLong { .. }));
    assert!(error.to_string().contains("TIDEGATE_RUNTIME_DIR"));
}

#[test]
fn what_a_newer_job_says_is_read_as_far_as_it_is_known() {
    let text = "{\"status\": {\"state\": \"dreaming\", \"restarts\": 2, \"mood\": \"fine\"}}";
    let expected =
        JobStatusReport { state: JobState::Unknown, restarts: 2, ..JobStatusReport::default() };
    let read: ControlResponse = serde_json::from_str(text).unwrap();
    assert_eq!(read, ControlResponse::Status(expected));
}
