//! A directory on a server, for one test.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use tidegate_meta::CheckpointMetadata;
use tidegate_store::{
    CheckpointStorage, EntryKind, StorageFactory, StoragePath, StorageRegistry, StorageSettings,
};
use tidegate_types::FileReference;

use crate::programs::programs;

/// A directory on a server, deleted with this.
pub(crate) struct Place {
    pub(crate) storage: Arc<dyn CheckpointStorage>,
    /// Settings that the server needs, as YAML.
    pub(crate) settings: String,
}

impl Place {
    /// On HDFS; `None` where no server is up.
    pub(crate) fn on_hdfs(test: &str) -> Option<Self> {
        let uri = server("TIDEGATE_TEST_HDFS_URI", test)?;
        Some(Self::new(&uri, &[]))
    }

    /// In a bucket of S3; `None` where no server is up.
    pub(crate) fn on_s3(test: &str) -> Option<Self> {
        Some(Self::in_bucket(&server("TIDEGATE_TEST_S3_ENDPOINT", test)?, &[]))
    }

    /// In the same bucket, through the gateway that tests may stop.
    pub(crate) fn on_s3_that_fails(test: &str) -> Option<Self> {
        // Short, so that what is away is noticed soon.
        let waits = [("s3.request-timeout", "2 s"), ("s3.retry-timeout", "5 s")];
        Some(Self::in_bucket(&server("TIDEGATE_TEST_S3_FAULTS_ENDPOINT", test)?, &waits))
    }

    fn in_bucket(endpoint: &str, more: &[(&str, &str)]) -> Self {
        let of = |name: &str| std::env::var(format!("TIDEGATE_TEST_S3_{name}")).unwrap();
        let (access, secret) = (of("ACCESS_KEY"), of("SECRET_KEY"));
        let settings = [
            ("s3.endpoint", endpoint),
            ("s3.endpoint.region", "us-east-1"),
            ("s3.path.style.access", "true"),
            ("s3.access-key", &access),
            ("s3.secret-key", &secret),
        ];
        let uri = format!("s3://{}", of("BUCKET"));
        Self::new(&uri, &[&settings[..], more].concat())
    }

    /// In a container of Azure Blob Storage; `None` where no server is up.
    pub(crate) fn on_azure(test: &str) -> Option<Self> {
        let endpoint = server("TIDEGATE_TEST_AZURE_ENDPOINT", test)?;
        let of = |name: &str| std::env::var(format!("TIDEGATE_TEST_AZURE_{name}")).unwrap();
        let (account, key) = (of("ACCOUNT"), of("KEY"));
        let settings = [
            ("azure.endpoint", &*endpoint),
            ("azure.account-name", &account),
            ("azure.account-key", &key),
        ];
        Some(Self::new(&format!("az://{}", of("CONTAINER")), &settings))
    }

    /// On the HDFS cluster whose processes tests may stop.
    pub(crate) fn on_hdfs_that_fails(directory: &Path) -> Self {
        let site = std::fs::read_to_string(directory.join("conf/core-site.xml")).unwrap();
        let uri = site.split_once("<value>hdfs://").unwrap().1.split_once("</value>").unwrap().0;
        let uri = format!("hdfs://{}", uri.trim_end_matches('/'));
        let conf = directory.join("conf");
        // Short, so that what hangs is noticed soon.
        let waits = [("hdfs.call-timeout", "3 s"), ("hdfs.retry-timeout", "6 s")];
        let settings = [&[("hdfs.conf-dir", conf.to_str().unwrap())][..], &waits].concat();
        Self::new(&uri, &settings)
    }

    /// Below this URI, on a server with these settings.
    pub(crate) fn new(server: &str, settings: &[(&str, &str)]) -> Self {
        let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
        let uri = format!("{server}/test-{random:016x}");
        let factories: Vec<Arc<dyn StorageFactory>> = vec![
            Arc::new(tidegate_store_hdfs::HdfsFactory::default()),
            Arc::new(tidegate_store_object::ObjectFactory::default()),
        ];
        let registry =
            StorageRegistry::new(factories, StorageSettings::new(settings.iter().copied()));
        let yaml = settings.iter().map(|(key, value)| format!("{key}: {value}"));
        let settings = yaml.collect::<Vec<_>>().join("\n") + "\n";
        Self { storage: registry.open(&uri).unwrap(), settings }
    }

    /// Every file, hidden ones left out.
    pub(crate) fn files(&self) -> BTreeSet<String> {
        let mut directories = vec![StoragePath::root()];
        let mut files = BTreeSet::new();
        while let Some(directory) = directories.pop() {
            for child in self.storage.list(&directory).unwrap() {
                let path = directory.join(&child.name).unwrap();
                if child.kind == EntryKind::Directory {
                    directories.push(path);
                } else {
                    files.insert(path.to_string());
                }
            }
        }
        files
    }

    /// Files that no complete checkpoint here refers to, and files that one refers to and that are
    /// not there.
    pub(crate) fn orphans_and_missing(&self) -> (Vec<String>, Vec<String>) {
        let files = self.files();
        let mut used = HashSet::new();
        for path in files.iter().filter(|path| path.ends_with("/_metadata")) {
            used.insert(path.clone());
            let metadata = self.metadata(path);
            let directory = StoragePath::new(path).unwrap().parent().unwrap();
            let states = metadata.operators.iter().flat_map(|operator| &operator.subtasks);
            for file in states.flat_map(|(_, state)| state.files()) {
                let path = match &file.reference {
                    FileReference::InCheckpoint(name) => directory.join(name),
                    FileReference::InJob(name) => directory.parent().unwrap().join(name),
                    _ => {
                        let root = format!("{}/", self.storage.uri());
                        StoragePath::new(file.reference.as_str().strip_prefix(&*root).unwrap())
                    }
                };
                used.insert(path.unwrap().to_string());
            }
        }
        let orphans = files.iter().filter(|path| !used.contains(*path)).cloned().collect();
        let missing = used.into_iter().filter(|path| !files.contains(path)).collect();
        (orphans, missing)
    }

    fn metadata(&self, path: &str) -> CheckpointMetadata {
        let reader = self.storage.open(&StoragePath::new(path).unwrap()).unwrap();
        let bytes = reader.read_all(1 << 20).unwrap();
        tidegate_meta::MetadataView::open(&bytes).unwrap().to_metadata()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What cannot be deleted goes with the servers' data.
        let _ = self.storage.delete_directory(&StoragePath::root());
    }
}

/// `tidegate`, run in this directory to its end.
pub(crate) fn tidegate(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(programs().join("tidegate"))
        .args(arguments)
        .current_dir(directory)
        .env("TIDEGATE_CONF_DIR", directory.join("conf"))
        .env("TIDEGATE_RUNTIME_DIR", directory.join("conf/run"))
        .output()
        .unwrap()
}

/// The variable of a server that this test needs; `None`, said and counted, where it is not there.
pub(crate) fn server(variable: &str, test: &str) -> Option<String> {
    if let Ok(value) = std::env::var(variable) {
        return Some(value);
    }
    let is_required = std::env::var("TIDEGATE_TEST_SERVERS").is_ok_and(|it| it == "required");
    assert!(!is_required, "{test} needs {variable}, see `cargo xtask servers`");
    eprintln!("SKIPPED {test}: {variable} is not set; see `cargo xtask servers start`");
    if let Ok(path) = std::env::var("TIDEGATE_TEST_SKIPPED") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        let line = format!("{test}\n");
        file.and_then(|mut file| std::io::Write::write_all(&mut file, line.as_bytes())).unwrap();
    }
    None
}
