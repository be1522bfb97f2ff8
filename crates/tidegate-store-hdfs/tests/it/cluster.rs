//! The clusters that tests run on, and what they do to one of them.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use hdfs_native::{Client, ClientBuilder};
use tidegate_store::{CheckpointStorage, StoragePath};
use tidegate_store_hdfs::{HdfsOptions, HdfsStorage};
use tokio::runtime::Runtime;

const PROCESSES: [&str; 3] = ["namenode", "datanode-1", "datanode-2"];
/// When a call has not come back by then, it hangs.
const FOR_EVER: Duration = Duration::from_secs(200);

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The variable of a server that this test needs; `None`, said and counted, where there is no server.
///
/// # Panics
///
/// Where servers are required (`TIDEGATE_TEST_SERVERS=required`).
pub(crate) fn server(variable: &str, test: &str) -> Option<String> {
    if let Ok(value) = std::env::var(variable) {
        return Some(value);
    }
    let is_required = std::env::var("TIDEGATE_TEST_SERVERS").is_ok_and(|value| value == "required");
    assert!(
        !is_required,
        "{test} needs a server: {variable} is not set, see `cargo xtask servers`"
    );
    eprintln!("SKIPPED {test}: {variable} is not set; `cargo xtask servers start` brings it up");
    if let Ok(path) = std::env::var("TIDEGATE_TEST_SKIPPED") {
        let list = OpenOptions::new().create(true).append(true).open(path);
        let line = format!("{test}\n");
        list.and_then(|mut list: File| list.write_all(line.as_bytes()))
            .expect("list of skipped tests");
    }
    None
}

/// A directory of the test's own on the cluster that nobody hurts.
pub(crate) fn root(test: &str) -> Option<String> {
    let uri = server("TIDEGATE_TEST_HDFS_URI", test)?;
    Some(format!("{uri}/{}", unique(test)))
}

pub(crate) fn storage(uri: &str) -> Arc<dyn CheckpointStorage> {
    open(uri, &HdfsOptions::default())
}

pub(crate) fn open(uri: &str, options: &HdfsOptions) -> Arc<dyn CheckpointStorage> {
    Arc::new(HdfsStorage::open(uri, options).expect("a URI that names a cluster"))
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

/// What `work` returns; it must return, however long that takes.
pub(crate) fn returns<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = std::sync::mpsc::channel();
    thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(FOR_EVER).expect("a call that ends, whatever hangs")
}

/// The plain client, for what the store does not show.
pub(crate) struct Plain {
    runtime: Runtime,
    pub(crate) client: Client,
    /// The root's path.
    pub(crate) root: String,
}

impl Plain {
    pub(crate) fn at(root: &str) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let client = ClientBuilder::new().with_url(root).build().expect("a URI");
        let root = format!("/{}", root.rsplit('/').next().expect("a directory"));
        Self { runtime, client, root }
    }

    /// # Panics
    ///
    /// When it fails.
    pub(crate) fn wait<T>(&self, call: impl Future<Output = hdfs_native::Result<T>>) -> T {
        self.runtime.block_on(call).expect("a call of the plain client")
    }

    /// When whatever lies in the directory was last modified.
    pub(crate) fn modification_times(&self, directory: &str) -> Vec<u64> {
        let entries =
            self.wait(self.client.list_status(&format!("{}/{directory}", self.root), false));
        entries.iter().map(|entry| entry.modification_time).collect()
    }
}

/// A cluster that one test at a time may hurt. It is whole again when this is dropped.
pub(crate) struct Victim {
    directory: PathBuf,
    _lock: File,
}

impl Victim {
    pub(crate) fn of(test: &str) -> Option<Self> {
        let directory = PathBuf::from(server("TIDEGATE_TEST_HDFS_FAULTS", test)?);
        let lock = File::create(directory.join("lock")).expect("a lock file");
        lock.lock().expect("a lock");
        let victim = Self { directory, _lock: lock };
        victim.heal();
        Some(victim)
    }

    /// Options for a directory of the test's own, and that as a URI, on the default file system.
    pub(crate) fn options(&self) -> HdfsOptions {
        let conf_dir = Some(self.directory.join("conf"));
        HdfsOptions { conf_dir, ..HdfsOptions::default() }
    }

    /// Options of somebody who does not wait long.
    pub(crate) fn impatient(&self) -> HdfsOptions {
        let socket = ("dfs.client.socket-timeout".to_owned(), "2000".to_owned());
        HdfsOptions {
            call_timeout: Duration::from_secs(3),
            transfer_timeout: Duration::from_secs(6),
            retry_timeout: Duration::from_secs(20),
            properties: [socket].into(),
            ..self.options()
        }
    }

    pub(crate) fn signal(&self, process: &str, signal: &str) {
        let id = fs::read_to_string(self.directory.join(format!("{process}.pid")));
        let id = id.expect("a process that was started");
        let kill = format!("kill -{signal} {}", id.trim());
        let status = Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status();
        assert!(status.expect("a shell").success(), "{process} is not there to be sent {signal}");
    }

    /// Starts a process that was killed, without waiting for it.
    pub(crate) fn start(&self, process: &str) {
        let mut script = Command::new("sh");
        script.arg(self.directory.join(format!("{process}.sh"))).stdin(Stdio::null());
        let mut process = script.spawn().expect("a shell");
        // It outlives the test, or is killed in it.
        thread::spawn(move || process.wait());
    }

    fn heal(&self) {
        for process in PROCESSES {
            let id = fs::read_to_string(self.directory.join(format!("{process}.pid")));
            let id = id.unwrap_or_default().trim().to_owned();
            let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            if line.is_empty() {
                self.start(process);
            } else {
                self.signal(process, "CONT");
            }
        }
        while self.living_datanodes() != Some(2) {
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// As the NameNode sees it; `None` when it does not answer or is not ready to write.
    pub(crate) fn living_datanodes(&self) -> Option<u8> {
        let ports = fs::read_to_string(self.directory.join("ports")).expect("ports");
        let (_, port) = ports.split_once(' ').expect("two ports");
        let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        let request =
            "GET /jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState HTTP/1.0\r\n\r\n";
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let count = answer.split("\"NumLiveDataNodes\" : ").nth(1)?.chars().next()?.to_digit(10)?;
        answer.contains("\"Operational\"").then_some(u8::try_from(count).ok()?)
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.heal();
    }
}

pub(crate) fn unique(test: &str) -> String {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{test}-{}-{number}", std::process::id())
}
