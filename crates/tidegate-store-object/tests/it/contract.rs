//! The contract of every store, and what is particular to these.

use std::cell::RefCell;
use std::io::Write as _;

use tidegate_store::{
    CheckpointStorage as _, DeleteOutcome, PublishOutcome, StorageError, StorageFactory as _,
    StorageSettings, conformance,
};
use tidegate_store_object::{ObjectFactory, ObjectStorage};
use tidegate_types::Digest;

use crate::servers::{all, azure, bytes, get, path, s3};

#[test]
fn s3_conforms() {
    if let Some(server) = s3("s3_conforms") {
        conformance::run(&|| server.elsewhere().open());
    }
}

#[test]
fn azure_conforms() {
    if let Some(server) = azure("azure_conforms") {
        conformance::run(&|| server.elsewhere().open());
    }
}

#[test]
fn files_of_many_parts_are_whole_and_never_overwrite() {
    for server in all("files_of_many_parts_are_whole_and_never_overwrite") {
        let key = server.key("part-size");
        let storage = server.open_with(&server.endpoint, &[(&key, "5 mb")]);
        let content = bytes(23 * 1024 * 1024 + 7);
        let (at, next) = (path("shared/large"), path("shared/next"));
        let mut early = storage.create(&at).unwrap();
        early.write_all(&content).unwrap();
        let mut writer = storage.create(&at).unwrap();
        content.chunks(1_000_003).for_each(|piece| writer.write_all(piece).unwrap());
        assert!(matches!(storage.open(&at), Err(StorageError::Missing { .. })), "seen too early");
        let file = writer.finish().unwrap();
        assert_eq!((file.length, file.digest), (content.len() as u64, Digest::of(&content)));
        assert_eq!(get(&storage, at.as_str()), content);
        let refused = early.finish().unwrap_err();
        assert!(matches!(refused, StorageError::AlreadyExists { .. }), "{refused}");
        let reader = storage.open(&at).unwrap();
        let mut middle = vec![0; 9 * 1024 * 1024];
        reader.read_at(4_000_001, &mut middle).unwrap();
        assert_eq!(middle, content[4_000_001..4_000_001 + middle.len()]);

        let mut abandoned = storage.create(&next).unwrap();
        abandoned.write_all(&content).unwrap();
        drop(abandoned);
        let entries = storage.list(&path("shared")).unwrap();
        assert_eq!(entries.iter().map(|entry| &*entry.name).collect::<Vec<_>>(), ["large"]);
        // Files of whole parts only, and of one part exactly.
        for length in [5 * 1024 * 1024, 10 * 1024 * 1024] {
            let at = format!("shared/{length}");
            let mut writer = storage.create(&path(&at)).unwrap();
            writer.write_all(&content[..length]).unwrap();
            writer.finish().unwrap();
            assert_eq!(get(&storage, &at), content[..length]);
        }
    }
}

#[test]
fn names_are_taken_as_they_are() {
    for server in all("names_are_taken_as_they_are") {
        let storage = server.open();
        for name in ["100%", "a b", "ü", "a+b", "a#b?c&d", "%2F", "~x'(y)*", "[z]", "a=b;c,d@e!$"]
        {
            let at = format!("dir/{name}");
            let published = storage.publish(&path(&at), name.as_bytes()).unwrap();
            assert_eq!(published, PublishOutcome::Published, "{name}");
            assert_eq!(get(&storage, &at), name.as_bytes(), "{name}");
            let entries = storage.list(&path("dir")).unwrap();
            assert_eq!(entries.len(), 1, "{name}: {entries:?}");
            assert_eq!(entries[0].name, name);
            assert_eq!(storage.delete(&path(&at)).unwrap(), DeleteOutcome::Deleted, "{name}");
        }
    }
}

#[test]
fn more_files_than_a_page_are_listed_and_deleted() {
    for server in all("more_files_than_a_page_are_listed_and_deleted") {
        let storage = server.open();
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let storage = &storage;
                scope.spawn(move || {
                    for n in 0..140 {
                        let at = path(&format!("chk-1/{thread}-{n}"));
                        let _ = storage.publish(&at, b"x").unwrap();
                    }
                });
            }
        });
        assert_eq!(storage.list(&path("chk-1")).unwrap().len(), 1120);
        assert_eq!(storage.delete_directory(&path("chk-1")).unwrap(), DeleteOutcome::Deleted);
        assert_eq!(storage.list(&path("chk-1")).unwrap(), []);
    }
}

#[test]
fn what_is_not_accepted_is_named_without_secrets() {
    let settings = StorageSettings::new([
        ("s3.access-key", "AKIAHUSH"),
        ("s3.secret-key", "hush-hush"),
        ("s3.endpoint", "http://127.0.0.1:1"),
        ("s3.retry-timeout", "200 ms"),
        ("azure.account-key", "hush-hush, which is not base64"),
        ("azure.account-name", "x"),
    ]);
    let shown = RefCell::new(Vec::new());
    let show = |text: &dyn std::fmt::Debug| {
        writeln!(shown.borrow_mut(), "{text:?}").expect("a string takes everything");
    };
    let storage = ObjectStorage::open("s3://bucket/x", &settings).unwrap();
    let error = storage.publish(&path("a"), b"1").unwrap_err();
    assert!(error.to_string().contains("s3://bucket/x/a"), "{error}");
    show(&storage);
    show(&error);
    let hold = storage.own(&path("job"), &tidegate_store::OwnerInfo::current("job", 1));
    show(&hold.unwrap_err());
    show(&ObjectStorage::open("az://container/x", &settings).map(drop));
    show(&ObjectFactory::default());
    show(&ObjectFactory::default().open("s3://bucket/x", &settings).unwrap());
    let shown = String::from_utf8(shown.into_inner()).expect("text");
    assert!(!shown.to_lowercase().contains("hush"), "{shown}");
}

#[test]
fn wrong_credentials_are_a_lack_of_permission() {
    let Some(server) = s3("wrong_credentials_are_a_lack_of_permission") else { return };
    let storage = server.open_with(&server.endpoint, &[("s3.secret-key", "wrong-hush")]);
    let error = storage.publish(&path("a"), b"1").unwrap_err();
    assert!(matches!(error, StorageError::Permission { .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("hush"), "{error:?}");
}

#[test]
fn the_factory_reads_settings_of_its_schemes() {
    let factory = ObjectFactory::default();
    assert!(["s3", "s3a", "gs", "az", "abfss"].iter().all(|s| factory.schemes().contains(s)));
    for key in ["s3.endpoint", "s3.part-size", "gs.lease", "fs.azure.account.key."] {
        assert!(factory.settings().contains(&key), "{key}");
    }
}
