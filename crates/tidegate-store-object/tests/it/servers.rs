//! The servers that tests run on.

use std::env;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tidegate_store::{CheckpointStorage, StoragePath, StorageSettings};
use tidegate_store_object::ObjectStorage;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A server, and a directory of the test's own on it.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    uri: String,
    pub(crate) endpoint: String,
    endpoint_key: &'static str,
    settings: Vec<(String, String)>,
}

impl Server {
    /// The same directory, seen by another client, with these settings and another endpoint.
    pub(crate) fn open_with(
        &self,
        endpoint: &str,
        further: &[(&str, &str)],
    ) -> Arc<dyn CheckpointStorage> {
        let own = self.settings.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let endpoint = (self.endpoint_key, endpoint);
        let all = own.chain([endpoint]).chain(further.iter().copied());
        let settings = StorageSettings::new(all);
        Arc::new(ObjectStorage::open(&self.uri, &settings).expect("settings of a test's server"))
    }

    pub(crate) fn open(&self) -> Arc<dyn CheckpointStorage> {
        self.open_with(&self.endpoint, &[])
    }

    /// Another directory on the same server.
    pub(crate) fn elsewhere(&self) -> Self {
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { uri: format!("{}/{next}", self.uri), ..self.clone() }
    }

    /// A root below this directory.
    pub(crate) fn below(&self, path: &str) -> Self {
        Self { uri: format!("{}/{path}", self.uri), ..self.clone() }
    }

    /// How the keys of this store's settings begin.
    pub(crate) fn key(&self, name: &str) -> String {
        let (prefix, _) = self.endpoint_key.split_once('.').expect("a key with a prefix");
        format!("{prefix}.{name}")
    }
}

/// The S3 server; `None`, said and counted, where there is none.
pub(crate) fn s3(test: &str) -> Option<Server> {
    let endpoint = variable("TIDEGATE_TEST_S3_ENDPOINT", test)?;
    let bucket = variable("TIDEGATE_TEST_S3_BUCKET", test)?;
    let settings = [
        ("s3.access-key", variable("TIDEGATE_TEST_S3_ACCESS_KEY", test)?),
        ("s3.secret-key", variable("TIDEGATE_TEST_S3_SECRET_KEY", test)?),
        ("s3.path-style-access", "true".to_owned()),
    ];
    let settings = settings.map(|(key, value)| (key.to_owned(), value)).to_vec();
    let uri = format!("s3://{bucket}/{}", unique(test));
    Some(Server { uri, endpoint, endpoint_key: "s3.endpoint", settings })
}

/// Azurite; `None`, said and counted, where there is none.
pub(crate) fn azure(test: &str) -> Option<Server> {
    let endpoint = variable("TIDEGATE_TEST_AZURE_ENDPOINT", test)?;
    let container = variable("TIDEGATE_TEST_AZURE_CONTAINER", test)?;
    let settings = [
        ("azure.account-name", variable("TIDEGATE_TEST_AZURE_ACCOUNT", test)?),
        ("azure.account-key", variable("TIDEGATE_TEST_AZURE_KEY", test)?),
    ];
    let settings = settings.map(|(key, value)| (key.to_owned(), value)).to_vec();
    let uri = format!("az://{container}/{}", unique(test));
    Some(Server { uri, endpoint, endpoint_key: "azure.endpoint", settings })
}

/// Each server that there is.
pub(crate) fn all(test: &str) -> impl Iterator<Item = Server> {
    [s3(test), azure(test)].into_iter().flatten()
}

fn variable(variable: &str, test: &str) -> Option<String> {
    if let Ok(value) = env::var(variable) {
        return Some(value);
    }
    let is_required = env::var("TIDEGATE_TEST_SERVERS").is_ok_and(|value| value == "required");
    assert!(
        !is_required,
        "{test} needs a server: {variable} is not set, see `cargo xtask servers`"
    );
    eprintln!("SKIPPED {test}: {variable} is not set; `cargo xtask servers start` brings it up");
    if let Ok(path) = env::var("TIDEGATE_TEST_SKIPPED") {
        let list = OpenOptions::new().create(true).append(true).open(path);
        let written = list.and_then(|mut list| writeln!(list, "{test} ({variable})"));
        written.expect("list of skipped tests");
    }
    None
}

fn unique(test: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros();
    format!("{test}-{now}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn path(text: &str) -> StoragePath {
    StoragePath::new(text).expect("a path")
}

/// Bytes that do not repeat for a while.
pub(crate) fn bytes(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        bytes.extend_from_slice(&(state ^ (state >> 29)).to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}

pub(crate) fn get(storage: &Arc<dyn CheckpointStorage>, at: &str) -> Vec<u8> {
    let reader = storage.open(&path(at)).expect("a finished file");
    reader.read_all(u64::MAX).expect("a file that can be read")
}
