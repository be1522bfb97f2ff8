//! Owners on real servers.

use std::sync::Arc;

use tidegate_store::{CheckpointStorage, OwnerInfo, PublishOutcome, StorageError};

use crate::servers::{Server, all, get, path};

fn owner(name: &str) -> OwnerInfo {
    OwnerInfo::current(name, 1)
}

// The entry of an owner on another machine, as this library writes it.
fn foreign_entry(event: &str) -> String {
    format!(
        "tidegate owner log 1\nevent: {event}\nown: 7\ntoken: {:032x}\nhost: elsewhere\nprocess: 1\n\
         job: theirs\nattempt: 1\nstarted: 1\nboot: another\nnamespace: pid:[1]\nbegan: 1\nend\n",
        0xabc
    )
}

// Names with dots are the store's own, so they are written from a root below the directory.
fn owners_of(server: &Server) -> Arc<dyn CheckpointStorage> {
    server.below("job/.owner").open()
}

#[test]
fn a_silent_owner_elsewhere_is_waited_for_and_then_superseded() {
    for server in all("a_silent_owner_elsewhere_is_waited_for_and_then_superseded") {
        let owners = owners_of(&server);
        let entry = foreign_entry("publish chk-1/_metadata");
        let name = path(&format!("e{:020}", 7));
        assert_eq!(owners.publish(&name, entry.as_bytes()).unwrap(), PublishOutcome::Published);
        let lease = server.key("lease");
        let storage = server.open_with(&server.endpoint, &[(&lease, "500 ms")]);
        let hold = storage.own(&path("job"), &owner("ours")).unwrap();
        assert_eq!(hold.superseded().map(|owner| &*owner.host), Some("elsewhere"));
        // What he logged last can appear no more, and is not there for anybody who looks.
        let late = storage.publish(&path("job/chk-1/_metadata"), b"late").unwrap();
        assert_eq!(late, PublishOutcome::AlreadyExists);
        let _ = storage.delete_directory(&path("job/chk-1")).unwrap();
        let late = storage.publish(&path("job/chk-1/_metadata"), b"late").unwrap();
        assert_eq!(late, PublishOutcome::AlreadyExists, "a guarded file was brought back");
        assert!(storage.open(&path("job/chk-1/_metadata")).is_err());
        assert!(storage.list(&path("job/chk-1")).unwrap().is_empty());
        let made = hold.publish(&path("job/chk-2/_metadata"), b"2").unwrap();
        assert_eq!(made, PublishOutcome::Published);
        drop(hold);
        let _ = storage.delete_directory(&path("job")).unwrap();
        assert_eq!(owners.list(&tidegate_store::StoragePath::root()).unwrap(), []);
    }
}

#[test]
fn an_owner_who_shows_life_keeps_the_directory() {
    for server in all("an_owner_who_shows_life_keeps_the_directory") {
        let owners = owners_of(&server);
        let name = path(&format!("e{:020}", 7));
        let _ = owners.publish(&name, foreign_entry("own").as_bytes()).unwrap();
        let lease = server.key("lease");
        let storage = server.open_with(&server.endpoint, &[(&lease, "3 s")]);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| storage.own(&path("job"), &owner("ours")));
            // He logs publications while he is watched, however often that is.
            for number in 8_u32.. {
                let entry = foreign_entry("publish chk-1/_metadata");
                let name = path(&format!("e{number:020}"));
                let _ = owners.publish(&name, entry.as_bytes()).unwrap();
                if waiting.is_finished() {
                    break;
                }
            }
            match waiting.join().unwrap() {
                Err(StorageError::Owned { owner, .. }) => assert_eq!(owner.host, "elsewhere"),
                other => panic!("{other:?}"),
            }
        });
        // By force it is taken at once.
        let hold = storage.take_over(&path("job"), &owner("ours")).unwrap();
        assert_eq!(hold.superseded().map(|owner| &*owner.job_name), Some("theirs"));
    }
}

#[test]
fn a_released_directory_is_free_for_another_client() {
    for server in all("a_released_directory_is_free_for_another_client") {
        let (ours, theirs) = (server.open(), server.open());
        let hold = ours.own(&path("job"), &owner("ours")).unwrap();
        for n in 0..5 {
            let at = path(&format!("job/chk-{n}/_metadata"));
            assert_eq!(hold.publish(&at, b"x").unwrap(), PublishOutcome::Published);
        }
        assert!(matches!(theirs.own(&path("job"), &owner("b")), Err(StorageError::Owned { .. })));
        drop(hold);
        let hold = theirs.own(&path("job"), &owner("b")).unwrap();
        assert_eq!(hold.superseded(), None);
        assert_eq!(get(&theirs, "job/chk-4/_metadata"), b"x");
        // Old entries and counters do not pile up.
        let left = owners_of(&server).list(&tidegate_store::StoragePath::root()).unwrap();
        assert!(left.len() <= 3, "{left:?}");
    }
}
