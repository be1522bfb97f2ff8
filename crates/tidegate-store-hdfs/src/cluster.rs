//! Calls to one cluster, each of which ends in bounded time.
//!
//! The client itself waits for ever for a NameNode that hangs, and goes on using the connection to
//! one that is gone without a word. So every call has a time-out here, and after one a new client,
//! with new connections, takes the place of the old.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::patience::Patience;
use hdfs_native::client::FileStatus;
use hdfs_native::{Client, ClientBuilder, HdfsError, WriteOptions};
use tidegate_store::StorageError;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::HdfsOptions;
use crate::failure::{Failure, Kind};
use crate::options::FileDefaults;

/// Permission of directories that are made, before the cluster's umask.
const DIRECTORY_MODE: u32 = 0o755;

pub(crate) struct Cluster {
    /// Scheme and authority, which may be empty: the default file system's.
    address: String,
    hadoop: BTreeMap<String, String>,
    options: HdfsOptions,
    defaults: FileDefaults,
    runtime: Handle,
    connected: Mutex<Connected>,
}

struct Connected {
    client: Client,
    /// How many clients there were before.
    generation: u64,
}

impl Cluster {
    /// Reaches nobody yet. `Err` when the settings name no cluster.
    pub(crate) fn new(
        address: &str,
        options: &HdfsOptions,
        runtime: Handle,
    ) -> Result<Self, StorageError> {
        let hadoop = options.hadoop()?;
        let defaults = FileDefaults::of(&hadoop)?;
        let client =
            build(address, &hadoop, options, &runtime).map_err(|_| StorageError::InvalidUri {
                uri: address.into(),
                available: "hdfs://host:port/path, hdfs://nameservice/path with a name service of \
                            hdfs-site.xml, or hdfs:///path with an fs.defaultFS in core-site.xml \
                            (HADOOP_CONF_DIR)",
            })?;
        let connected = Mutex::new(Connected { client, generation: 0 });
        let (address, options) = (address.to_owned(), options.clone());
        Ok(Self { address, hadoop, options, defaults, runtime, connected })
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    pub(crate) fn lease(&self) -> Duration {
        self.options.lease
    }

    /// How long something is repeated that begins now.
    pub(crate) fn patience(&self) -> Patience {
        Patience::new(self.options.retry_timeout)
    }

    /// One try of a call to the NameNode.
    pub(crate) async fn once<T>(
        &self,
        call: impl AsyncFnOnce(Client) -> Result<T, HdfsError>,
    ) -> Result<T, Failure> {
        self.within(self.options.call_timeout, call).await
    }

    /// One try of a call that moves a file's bytes.
    pub(crate) async fn transfer<T>(
        &self,
        call: impl AsyncFnOnce(Client) -> Result<T, HdfsError>,
    ) -> Result<T, Failure> {
        self.within(self.options.transfer_timeout, call).await
    }

    /// A call that may be made again when it is not known what became of it. The flag says that an
    /// earlier try may have been carried out.
    pub(crate) async fn repeated<T>(
        &self,
        call: impl AsyncFn(Client) -> Result<T, HdfsError>,
    ) -> Result<(T, bool), Failure> {
        let (mut patience, mut in_doubt) = (self.patience(), false);
        loop {
            match self.once(&call).await {
                Ok(value) => return Ok((value, in_doubt)),
                Err(failure) => {
                    in_doubt |= failure.kind == Kind::Unanswered;
                    patience.pause_after(failure).await?;
                }
            }
        }
    }

    /// What is at this path; `None` when nothing is.
    pub(crate) async fn status(&self, path: &str) -> Result<Option<FileStatus>, Failure> {
        match self.repeated(async |client| client.get_file_info(path).await).await {
            Ok((status, _)) => Ok(Some(status)),
            Err(failure) if failure.kind == Kind::Missing => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Everything directly in a directory, or below it; `None` when there is no such directory. A file
    /// is listed as itself.
    pub(crate) async fn list(
        &self,
        path: &str,
        recursive: bool,
    ) -> Result<Option<Vec<FileStatus>>, Failure> {
        match self.repeated(async |client| client.list_status(path, recursive).await).await {
            Ok((entries, _)) => Ok(Some(entries)),
            Err(failure) if failure.kind == Kind::Missing => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Makes a directory and those above it.
    pub(crate) async fn make_directory(&self, path: &str) -> Result<(), Failure> {
        let make = async |client: Client| client.mkdirs(path, DIRECTORY_MODE, true).await;
        self.repeated(make).await.map(drop)
    }

    /// Deletes; whether anything was there, as far as that can be told.
    pub(crate) async fn delete(&self, path: &str, recursive: bool) -> Result<bool, Failure> {
        let delete = async |client: Client| client.delete(path, recursive).await;
        self.repeated(delete).await.map(|(was_there, in_doubt)| was_there || in_doubt)
    }

    /// Deletes a file some time, if that can be done. Nobody waits for it.
    pub(crate) fn delete_later(&self, path: String) {
        let (client, patience) = (self.client(), self.options.call_timeout);
        self.runtime.spawn(async move {
            // What stays has a name that nobody sees, and goes when the directory is next owned.
            let _ = timeout(patience, client.delete(&path, false)).await;
        });
    }

    /// How files are made here.
    pub(crate) fn write_options(&self) -> WriteOptions {
        WriteOptions {
            block_size: self.defaults.block_size,
            replication: self.defaults.replication,
            ..WriteOptions::default()
        }
    }

    fn client(&self) -> Client {
        self.connected().client.clone()
    }

    async fn within<T>(
        &self,
        patience: Duration,
        call: impl AsyncFnOnce(Client) -> Result<T, HdfsError>,
    ) -> Result<T, Failure> {
        let (client, generation) = {
            let connected = self.connected();
            (connected.client.clone(), connected.generation)
        };
        // What the client's calls hold is large.
        match timeout(patience, Box::pin(call(client))).await {
            Ok(result) => result.map_err(Failure::from),
            Err(_) => {
                self.reconnect(generation);
                Err(Failure::timed_out(patience))
            }
        }
    }

    fn reconnect(&self, generation: u64) {
        let mut connected = self.connected();
        // Of all whose calls hung together, the first one does it.
        if connected.generation == generation
            && let Ok(client) = build(&self.address, &self.hadoop, &self.options, &self.runtime)
        {
            *connected = Connected { client, generation: generation + 1 };
        }
    }

    fn connected(&self) -> MutexGuard<'_, Connected> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cluster").field(&self.address).finish()
    }
}

fn build(
    address: &str,
    hadoop: &BTreeMap<String, String>,
    options: &HdfsOptions,
    runtime: &Handle,
) -> Result<Client, HdfsError> {
    let mut builder = ClientBuilder::new()
        .with_url(address)
        .with_config(hadoop.clone())
        .with_io_runtime(runtime.clone());
    if let Some(directory) = options.directory() {
        builder = builder.with_config_dir(directory.to_string_lossy());
    }
    if let Some(user) = &options.user {
        builder = builder.with_user(user);
    }
    builder.build()
}
