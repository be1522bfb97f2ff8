//! Ownership between threads, processes and machines.

use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier};
use std::time::Duration;
use std::{env, thread};

use hdfs_native::WriteOptions;
use tidegate_store::{CheckpointStorage, OwnerInfo, PublishOutcome, StorageError};
use tidegate_store_hdfs::HdfsOptions;

use crate::cluster::{Plain, get, open, path, root, storage};

const HOLDER: &str = "TIDEGATE_TEST_HOLDER_OF";

fn owner(name: &str) -> OwnerInfo {
    OwnerInfo::current(name, 1)
}

#[test]
fn of_many_who_want_a_directory_one_gets_it() {
    let Some(root) = root("own") else { return };
    for round in 0..5 {
        let job = path(&format!("job-{round}"));
        let start = Barrier::new(4);
        let holds: Vec<_> = thread::scope(|scope| {
            let own = |n: u8| {
                // A client of its own, as another process would have it.
                let (storage, job, start) = (storage(&root), &job, &start);
                scope.spawn(move || {
                    start.wait();
                    storage.own(job, &owner(&format!("owner-{n}")))
                })
            };
            let all: Vec<_> = (0..4).map(own).collect();
            all.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        let owners = holds.iter().filter(|hold| hold.is_ok()).count();
        assert_eq!(owners, 1, "round {round}: {holds:?}");
        for hold in holds {
            match hold {
                Ok(hold) => hold.check().unwrap(),
                Err(error) => assert!(matches!(error, StorageError::Owned { .. }), "{error:?}"),
            }
        }
    }
}

#[test]
fn of_many_who_take_a_directory_over_one_keeps_it() {
    let Some(root) = root("take") else { return };
    for round in 0..5 {
        let job = path(&format!("job-{round}"));
        let first = storage(&root).own(&job, &owner("first")).unwrap();
        let start = Barrier::new(3);
        let holds: Vec<_> = thread::scope(|scope| {
            let take = |n: u8| {
                let (storage, job, start) = (storage(&root), &job, &start);
                scope.spawn(move || {
                    start.wait();
                    storage.take_over(job, &owner(&format!("owner-{n}")))
                })
            };
            let all: Vec<_> = (0..3).map(take).collect();
            all.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        let holding = holds.iter().flatten().filter(|hold| hold.check().is_ok()).count();
        assert_eq!(holding, 1, "round {round}: {holds:?}");
        let lost = |error| matches!(error, StorageError::OwnershipLost { .. });
        assert!(first.check().is_err_and(lost), "round {round}: the first owner has it still");
    }
}

/// Started as another process by the test below; alone it does nothing.
#[test]
fn holder() {
    let Ok(root) = env::var(HOLDER) else { return };
    let storage = storage(&root);
    let hold = storage.own(&path("job"), &owner("holder")).unwrap();
    let at = |n: u32| path(&format!("job/chk-{n}/_metadata"));
    for n in 0.. {
        if hold.publish(&at(n), b"by the holder").is_err() {
            break;
        }
    }
}

#[test]
fn a_killed_process_owns_nothing_and_a_stopped_one_publishes_nothing() {
    let Some(root) = root("processes") else { return };
    let storage = storage(&root);
    let start = || {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "owners::holder"]).env(HOLDER, &root);
        command.stdout(Stdio::null()).spawn().unwrap()
    };
    let published = |storage: &Arc<dyn CheckpointStorage>| {
        let checkpoints = storage.list(&path("job")).unwrap();
        checkpoints
            .iter()
            .filter(|entry| {
                let at = path(&format!("job/{}/_metadata", entry.name));
                storage.open(&at).is_ok()
            })
            .count()
    };
    let mut child = start();
    while published(&storage) == 0 {
        thread::yield_now();
    }
    let refused = storage.own(&path("job"), &owner("second"));
    assert!(matches!(refused, Err(StorageError::Owned { .. })), "{refused:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    // At once, since it is known here that the process is gone.
    let hold = storage.own(&path("job"), &owner("second")).unwrap();
    assert_eq!(hold.superseded(), None);
    let _ = storage.delete_directory(&path("job")).unwrap();
    drop(hold);

    let mut child = start();
    while published(&storage) == 0 {
        thread::yield_now();
    }
    let signal = |signal: &str| {
        let kill = format!("kill -{signal} {}", child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    };
    signal("STOP");
    let hold = storage.take_over(&path("job"), &owner("third")).unwrap();
    assert_eq!(hold.superseded().map(|owner| &*owner.job_name), Some("holder"));
    let before = published(&storage);
    signal("CONT");
    assert!(child.wait().unwrap().success(), "the superseded process did not notice");
    assert_eq!(published(&storage), before, "a superseded owner published");
    let at = path("job/mine/_metadata");
    assert_eq!(hold.publish(&at, b"mine").unwrap(), PublishOutcome::Published);
    assert_eq!(get(&storage, at.as_str()), b"mine");
}

/// An owner on another machine, as this one sees him.
struct Elsewhere {
    plain: Plain,
    own: String,
    beats: u32,
}

impl Elsewhere {
    fn owning(root: &str) -> Self {
        let plain = Plain::at(root);
        let own = format!("{}/job/.owner/0123", plain.root);
        let text = owner("elsewhere").to_text() + "running as: other-boot/pid:[1] 1 1\n";
        plain.wait(async {
            let mark = format!("{own}/mark-0");
            let mut file = plain.client.create(&mark, WriteOptions::default()).await?;
            Box::pin(file.write_bytes(text.into())).await?;
            Box::pin(file.close()).await
        });
        Self { plain, own, beats: 0 }
    }

    fn beat(&mut self) {
        let mark = |n| format!("{}/mark-{n}", self.own);
        let (from, to) = (mark(self.beats), mark(self.beats + 1));
        self.plain.wait(self.plain.client.rename(&from, &to, false));
        self.beats += 1;
    }
}

#[test]
fn an_owner_elsewhere_keeps_the_directory_while_he_shows_that_he_lives() {
    let Some(root) = root("elsewhere") else { return };
    let options = HdfsOptions { lease: Duration::from_secs(4), ..HdfsOptions::default() };
    let storage = open(&root, &options);
    let mut other = Elsewhere::owning(&root);
    let refused = thread::scope(|scope| {
        let own = scope.spawn(|| storage.own(&path("job"), &owner("here")));
        while !own.is_finished() {
            other.beat();
            thread::sleep(Duration::from_millis(300));
        }
        own.join().expect("no panic")
    });
    match refused {
        Err(StorageError::Owned { owner, .. }) => assert_eq!(owner.job_name, "elsewhere"),
        other => panic!("a living owner was dispossessed: {other:?}"),
    }
    // Nothing more is seen of him.
    let hold = storage.own(&path("job"), &owner("here")).unwrap();
    assert_eq!(hold.superseded(), None);
    hold.check().unwrap();
}

#[test]
fn a_long_hold_outlives_its_lease() {
    let Some(root) = root("long") else { return };
    let options = HdfsOptions { lease: Duration::from_secs(1), ..HdfsOptions::default() };
    let storage = open(&root, &options);
    let hold = storage.own(&path("job"), &owner("first")).unwrap();
    let plain = Plain::at(&root);
    let seen = || plain.modification_times("job/.owner")[0];
    let first = seen();
    // Three leases, by the NameNode's clock.
    while seen() < first + 3_000 {
        thread::sleep(Duration::from_millis(100));
    }
    hold.check().unwrap();
}
