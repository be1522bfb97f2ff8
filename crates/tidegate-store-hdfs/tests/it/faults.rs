//! Servers that are killed, stopped and started again while a checkpoint is written.

use std::io::Write as _;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use tidegate_store::{Determinacy, OwnerInfo, PublishOutcome, StorageError};
use tidegate_store_hdfs::HdfsOptions;

use crate::cluster::{Victim, bytes, get, open, path, returns, unique};

fn root(test: &str) -> String {
    format!("hdfs:///{}", unique(test))
}

#[test]
fn a_datanode_killed_in_mid_write_costs_nothing() {
    let Some(victim) = Victim::of("datanode_killed") else { return };
    let storage = open(&root("killed"), &victim.options());
    let content = bytes(12 << 20);
    let mut writer = storage.create(&path("job/state")).unwrap();
    writer.write_all(&content[..5 << 20]).unwrap();
    victim.signal("datanode-1", "KILL");
    // The NameNode goes on giving blocks to it.
    writer.write_all(&content[5 << 20..]).unwrap();
    writer.finish().unwrap();
    assert_eq!(get(&storage, "job/state"), content);
    for small in 0..5 {
        let at = path(&format!("job/chk-{small}/_metadata"));
        assert_eq!(storage.publish(&at, b"small").unwrap(), PublishOutcome::Published);
    }
}

#[test]
fn a_namenode_killed_and_started_again_is_waited_for() {
    let Some(victim) = Victim::of("namenode_killed") else { return };
    let storage = open(&root("namenode"), &victim.options());
    let job = path("job");
    let hold = storage.own(&job, &OwnerInfo::current("job", 1)).unwrap();
    let mut small = storage.create(&path("job/small")).unwrap();
    small.write_all(b"small").unwrap();
    let mut long = storage.create(&path("job/long")).unwrap();
    long.write_all(&bytes(4 << 20)).unwrap();

    victim.signal("namenode", "KILL");
    victim.start("namenode");

    // What fits the buffer, and what is published, only come later.
    assert_eq!(small.finish().unwrap().length, 5);
    assert_eq!(
        hold.publish(&path("job/chk-1/_metadata"), b"x").unwrap(),
        PublishOutcome::Published
    );
    // A stream may be lost with its checkpoint. It must not hang, nor be there in part, and the next
    // one must go through.
    let long = returns(move || long.write_all(&bytes(4 << 20)).is_ok() && long.finish().is_ok());
    let found = storage.open(&path("job/long"));
    assert_eq!(found.is_ok(), long, "what was said of the file is not what is there");
    if long {
        assert_eq!(found.unwrap().length(), 8 << 20);
    }
    let mut again = storage.create(&path("job/again")).unwrap();
    again.write_all(&bytes(4 << 20)).unwrap();
    again.finish().unwrap();
    hold.check().unwrap();
    assert_eq!(get(&storage, "job/small"), b"small");
    assert_eq!(get(&storage, "job/again"), bytes(4 << 20));
}

#[test]
fn a_hung_datanode_fails_no_small_file_and_hangs_no_call() {
    let Some(victim) = Victim::of("datanode_hung") else { return };
    let storage = open(&root("hung"), &victim.impatient());
    let content = bytes(6 << 20);
    let mut before = storage.create(&path("job/before")).unwrap();
    before.write_all(&content).unwrap();
    before.finish().unwrap();

    victim.signal("datanode-1", "STOP");
    // Read from the other replica.
    let reader = Arc::clone(&storage);
    assert_eq!(returns(move || get(&reader, "job/before")), content);
    let writer = Arc::clone(&storage);
    let outcomes: Vec<bool> = returns(move || {
        let publish = |n| writer.publish(&path(&format!("job/chk-{n}/_metadata")), b"small");
        (0..3).map(|n| publish(n).is_ok()).collect()
    });
    assert_eq!(outcomes, [true; 3], "one of two DataNodes hung");

    // With both of them hung, a call fails and does not hang.
    victim.signal("datanode-2", "STOP");
    let writer = Arc::clone(&storage);
    let error = returns(move || writer.publish(&path("job/chk-9/_metadata"), b"x")).unwrap_err();
    assert_eq!(error.determinacy(), Determinacy::Determinate, "{error:?}");
    let writer = Arc::clone(&storage);
    let streamed = returns(move || {
        let mut stream = writer.create(&path("job/stream"))?;
        let written = stream.write_all(&bytes(5 << 20));
        written.map_err(|error| StorageError::from_write("job/stream", error))?;
        stream.finish()
    });
    assert!(streamed.is_err(), "{streamed:?}");
    victim.signal("datanode-1", "CONT");
    victim.signal("datanode-2", "CONT");
    let published = storage.publish(&path("job/chk-9/_metadata"), b"y").unwrap();
    assert_eq!(published, PublishOutcome::Published, "the failed one must not be there");
    assert!(storage.open(&path("job/stream")).is_err());
}

#[test]
fn a_hung_namenode_fails_the_call_and_is_found_again() {
    let Some(victim) = Victim::of("namenode_hung") else { return };
    let options = HdfsOptions { retry_timeout: Duration::from_secs(5), ..victim.impatient() };
    let storage = open(&root("stopped"), &options);
    let hold = storage.own(&path("job"), &OwnerInfo::current("job", 1)).unwrap();
    victim.signal("namenode", "STOP");
    let reader = Arc::clone(&storage);
    let error = returns(move || reader.list(&path("job"))).unwrap_err();
    assert!(matches!(error, StorageError::Io { .. }), "{error:?}");
    let hold = Arc::new(hold);
    let holder = Arc::clone(&hold);
    let error = returns(move || holder.publish(&path("job/chk-1/_metadata"), b"x"));
    assert!(error.is_err(), "{error:?}");
    victim.signal("namenode", "CONT");
    let published = hold.publish(&path("job/chk-2/_metadata"), b"x").unwrap();
    assert_eq!(published, PublishOutcome::Published);
    hold.check().unwrap();
}

/// The NameNode stops and goes on while several publish the same path, so that answers are lost and
/// calls are carried out long after whoever made them has given them up.
#[test]
fn of_those_who_publish_while_answers_are_lost_one_is_told_so() {
    const PUBLISHERS: u8 = 3;
    let Some(victim) = Victim::of("lost_answers") else { return };
    let root = root("lost");
    let impatient = HdfsOptions {
        call_timeout: Duration::from_millis(400),
        retry_timeout: Duration::from_secs(60),
        transfer_timeout: Duration::from_secs(20),
        ..victim.impatient()
    };
    for round in 0..8_u32 {
        let start = Barrier::new(usize::from(PUBLISHERS) + 1);
        let at = path(&format!("job/chk-{round}/_metadata"));
        let outcomes: Vec<_> = thread::scope(|scope| {
            let publish = |publisher: u8| {
                let (root, at, start) = (&root, &at, &start);
                let storage = open(root, &impatient);
                scope.spawn(move || {
                    start.wait();
                    storage.publish(at, &[publisher; 100])
                })
            };
            let all: Vec<_> = (0..PUBLISHERS).map(publish).collect();
            start.wait();
            // Another instant each time: before, between and after the steps of a publication.
            thread::sleep(Duration::from_millis(u64::from(round) * 11));
            for _ in 0..3 {
                victim.signal("namenode", "STOP");
                thread::sleep(Duration::from_millis(700));
                victim.signal("namenode", "CONT");
                thread::sleep(Duration::from_millis(60));
            }
            all.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        let storage = open(&root, &victim.options());
        let content = get(&storage, at.as_str());
        let told: Vec<_> = (0..PUBLISHERS)
            .filter(|n| matches!(outcomes[usize::from(*n)], Ok(PublishOutcome::Published)))
            .collect();
        let unknown = outcomes.iter().any(|outcome| {
            outcome.as_ref().is_err_and(|e| e.determinacy() == Determinacy::Indeterminate)
        });
        assert!(told.len() == 1 || (told.is_empty() && unknown), "round {round}: {outcomes:?}");
        if let [winner] = told[..] {
            assert_eq!(content, [winner; 100], "round {round}: {outcomes:?}");
        }
    }
}
