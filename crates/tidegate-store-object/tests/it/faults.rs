//! Faults between the store and real servers.

use std::io::Write as _;
use std::sync::Arc;

use tidegate_store::{
    CheckpointStorage, Determinacy, OwnerInfo, PublishOutcome, StorageError, StoragePath,
};

use crate::proxy::{Fault, Proxy};
use crate::servers::{Server, all, bytes, get, path};

const FAULTS: [Fault; 6] = [
    Fault::Answer(500),
    Fault::Answer(503),
    Fault::CutBefore,
    Fault::CutAfter,
    Fault::CutWithin,
    Fault::Hang,
];

/// A store behind a proxy, with so little patience that a request that hangs is soon made again.
fn behind(server: &Server, patience: &str) -> (Proxy, Arc<dyn CheckpointStorage>) {
    let proxy = Proxy::start(&server.endpoint);
    let keys = ["request-timeout", "retry-timeout", "part-size"].map(|name| server.key(name));
    let settings =
        [(keys[0].as_str(), "2 s"), (keys[1].as_str(), patience), (keys[2].as_str(), "5 mb")];
    let storage = server.open_with(proxy.endpoint(), &settings);
    (proxy, storage)
}

#[test]
fn a_publication_is_made_once_whatever_happens_to_its_requests() {
    for server in all("a_publication_is_made_once_whatever_happens_to_its_requests") {
        let (proxy, storage) = behind(&server, "60 s");
        for (n, fault) in FAULTS.into_iter().enumerate() {
            let at = path(&format!("chk-{n}/_metadata"));
            // The first two requests: the creation, and what follows it.
            for (m, at_request) in [0, 1].into_iter().enumerate() {
                let at = path(&format!("{at}-{m}"));
                proxy.set(move |_, number| (number == at_request).then_some(fault));
                let published = storage.publish(&at, b"ours").unwrap();
                assert_eq!(published, PublishOutcome::Published, "{fault:?} at {at_request}");
                proxy.set(|_, _| None);
                assert_eq!(get(&storage, at.as_str()), b"ours");
            }
            // Of another's file it is not taken for ours.
            let _ = server.open().publish(&at, b"theirs").unwrap();
            proxy.set(move |_, number| (number == 0).then_some(fault));
            let second = storage.publish(&at, b"ours").unwrap();
            assert_eq!((second, proxy.faults()), (PublishOutcome::AlreadyExists, 1), "{fault:?}");
            proxy.set(|_, _| None);
            assert_eq!(get(&storage, at.as_str()), b"theirs");
        }
    }
}

#[test]
fn files_come_through_a_bad_network_whole() {
    for server in all("files_come_through_a_bad_network_whole") {
        let (proxy, storage) = behind(&server, "120 s");
        let content = bytes(17 * 1024 * 1024);
        for fault in FAULTS {
            // Every third request, from the start of the upload to the last byte read.
            proxy.set(move |_, number| (number % 3 == 1).then_some(fault));
            let at = path(&format!("shared/{fault:?}").replace(['(', ')'], "-"));
            let mut writer = storage.create(&at).unwrap();
            writer.write_all(&content).unwrap();
            writer.finish().unwrap();
            let faults = proxy.faults();
            assert!(get(&storage, at.as_str()) == content, "{fault:?}: other content");
            assert!(faults > 0 && proxy.faults() > faults, "{fault:?} did not happen");
        }
    }
}

#[test]
fn a_server_that_hangs_fails_in_bounded_time_and_says_what_may_have_happened() {
    for server in all("a_server_that_hangs_fails_in_bounded_time_and_says_what_may_have_happened") {
        let (proxy, storage) = behind(&server, "3 s");
        proxy.set(|_, _| Some(Fault::Hang));
        let error = storage.publish(&path("chk-1/_metadata"), b"x").unwrap_err();
        assert_eq!(error.determinacy(), Determinacy::Indeterminate, "{error:?}");
        assert!(storage.list(&path("chk-1")).is_err());
        assert!(storage.create(&path("chk-1/x")).is_err());
        assert!(storage.own(&path("job"), &OwnerInfo::current("job", 1)).is_err());
        proxy.set(|_, _| Some(Fault::Answer(503)));
        let error = storage.publish(&path("chk-1/_metadata"), b"x").unwrap_err();
        assert_eq!(error.determinacy(), Determinacy::Determinate, "{error:?}");
        assert!(format!("{error:?}").contains("SlowDown"), "{error:?}");
        // It comes back, and so does everything else.
        proxy.set(|_, _| None);
        let made = storage.publish(&path("chk-1/_metadata"), b"x").unwrap();
        assert_eq!(made, PublishOutcome::Published);
    }
}

#[test]
fn owners_agree_through_a_bad_network() {
    for server in all("owners_agree_through_a_bad_network") {
        let (proxy, storage) = behind(&server, "60 s");
        for (n, fault) in FAULTS.into_iter().filter(|fault| *fault != Fault::Hang).enumerate() {
            let job = path(&format!("job-{n}"));
            let at = |name: &str| job.join(&format!("{name}/_metadata")).unwrap();
            proxy.set(move |_, number| (number % 3 == 0).then_some(fault));
            let first = storage.own(&job, &OwnerInfo::current("first", 1)).unwrap();
            for checkpoint in ["chk-1", "chk-2", "chk-3"] {
                let made = first.publish(&at(checkpoint), b"first").unwrap();
                assert_eq!(made, PublishOutcome::Published, "{fault:?}");
            }
            let second = storage.take_over(&job, &OwnerInfo::current("second", 2)).unwrap();
            let lost = first.publish(&at("chk-4"), b"first").unwrap_err();
            assert!(matches!(lost, StorageError::OwnershipLost { .. }), "{fault:?}: {lost:?}");
            let made = second.publish(&at("chk-4"), b"second").unwrap();
            assert_eq!(made, PublishOutcome::Published, "{fault:?}");
            drop(first);
            second.check().unwrap();
            proxy.set(|_, _| None);
        }
    }
}

#[test]
fn a_deletion_that_is_cut_off_leaves_no_metadata_without_its_files() {
    for server in all("a_deletion_that_is_cut_off_leaves_no_metadata_without_its_files") {
        let (proxy, storage) = behind(&server, "1 s");
        for cut in 0..6 {
            let job = path(&format!("job-{cut}"));
            let files = ["chk-1/_metadata", "chk-1/a", "chk-2/_metadata", "chk-2/b"];
            let at = |file: &str| job.join(file).unwrap();
            for file in files {
                let _ = server.open().publish(&at(file), b"x").unwrap();
            }
            proxy.set(move |_, number| (number >= cut).then_some(Fault::CutBefore));
            let deleted = storage.delete_directory(&job);
            let plain = server.open();
            let there = |file: &str| plain.open(&at(file)).is_ok();
            for (metadata, data) in [(files[0], files[1]), (files[2], files[3])] {
                assert!(!there(metadata) || there(data), "{deleted:?} cut at request {cut}");
            }
            proxy.set(|_, _| None);
            let _ = storage.delete_directory(&job).unwrap();
            assert_eq!(plain.list(&StoragePath::root()).unwrap(), [], "cut at request {cut}");
        }
    }
}
