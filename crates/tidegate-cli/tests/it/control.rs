//! `tidegate list` and `tidegate cancel`, against a job of this very process.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use tidegate_runtime::control::{
    ControlHandler, ControlRequest, ControlResponse, ControlServer, JobRegistration, JobState,
    JobStatusReport,
};
use tidegate_types::{AttemptId, JobId};

use crate::tool::Place;

fn start(place: &Place, id: u8, name: &str, cancelled: mpsc::Sender<()>) -> ControlServer {
    let report = JobStatusReport {
        state: JobState::Running,
        uptime_ms: 61_000,
        completed_checkpoints: 7,
        failed_checkpoints: 1,
        latest_checkpoint: Some(9),
        latest_checkpoint_path: Some("file:///x/chk-9".to_owned()),
        ..JobStatusReport::default()
    };
    let handler: ControlHandler = Arc::new(move |request| match request {
        ControlRequest::Status => ControlResponse::Status(report.clone()),
        ControlRequest::Cancel => {
            let _ = cancelled.send(());
            ControlResponse::Accepted
        }
        _ => ControlResponse::Refused { reason: "unexpected".to_owned() },
    });
    let attempt = AttemptId::new(1);
    let job = JobId::from_bytes([id; 16]);
    let registration = JobRegistration::current(job, name, "file:///x".to_owned(), attempt);
    ControlServer::start(&place.run_time(), registration, handler).unwrap()
}

#[test]
fn running_jobs_are_listed() {
    let place = Place::new();
    let (code, out, error) = place.outcome(&["list"]);
    assert_eq!((code, error.as_str()), (0, ""));
    assert_eq!(out, format!("no running jobs in {}\n", place.run_time().display()));
    assert_eq!(place.outcome(&["list", "--json"]).1, "[]\n");

    let _job = start(&place, 0xab, "words\u{7}", mpsc::channel().0);
    let (code, out, _) = place.outcome(&["list"]);
    assert_eq!(code, 0);
    let row = out.lines().nth(1).unwrap();
    let expected = format!(
        "{}  words\u{fffd}  RUNNING  1 min 1 s  0         7 (1 failed)  file:///x/chk-9  {}",
        "ab".repeat(16),
        std::process::id()
    );
    assert_eq!(row, expected);

    let json: serde_json::Value =
        serde_json::from_str(&place.outcome(&["list", "--json"]).1).unwrap();
    assert_eq!(json[0]["job_id"], "ab".repeat(16));
    assert_eq!(json[0]["process_id"], std::process::id());
    assert_eq!(json[0]["status"]["state"], "running");
    assert_eq!(json[0]["status"]["latest_checkpoint"], 9);
}

#[test]
fn cancel_asks_the_job_and_waits_until_it_has_ended() {
    let place = Place::new();
    let (sender, cancelled) = mpsc::channel();
    let job = start(&place, 0xab, "words", sender.clone());
    let other = start(&place, 0xac, "words", sender);

    for (wanted, told) in
        [("flights", "no running job has the id or name"), ("a", "2 running jobs")]
    {
        let (code, _, error) = place.outcome(&["cancel", wanted]);
        assert_eq!(code, 1);
        assert!(error.contains(told), "{error}");
    }
    assert!(cancelled.try_recv().is_err(), "nobody was cancelled");

    let mut tidegate = place.tidegate(&["cancel", "ab", "--json"]).spawn().unwrap();
    cancelled.recv_timeout(Duration::from_secs(10)).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert!(tidegate.try_wait().unwrap().is_none(), "the job has not ended yet");
    drop(job);
    assert_eq!(tidegate.wait().unwrap().code(), Some(0));
    drop(other);
}
