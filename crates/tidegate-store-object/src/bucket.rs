//! The requests that are made to one bucket, each made again where that helps.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, Error, GetOptions, GetRange, GetResult, ListResult, ObjectMeta,
    ObjectStoreExt, PutMode, PutOptions, PutPayload,
};
use parking_lot::Mutex;
use tidegate_store::{Operation, StorageError};
use tidegate_store_remote::{ErrorClass, GivenUp, RemoteRuntime, retry};

use crate::connect::Client;
use crate::failure;
use crate::options::Options;

/// Tells whose an object is: a word that no two requests share. In every store's alphabet.
const WRITER: &str = "tidegatewriter";

/// The file that makes a checkpoint of a directory. It is never empty: an empty object under this
/// name says that there is none, and shall be none.
pub(crate) const METADATA: &str = "_metadata";

/// A bucket, shared by all storages in it.
pub(crate) struct Bucket {
    pub(crate) client: Arc<dyn Client>,
    pub(crate) runtime: RemoteRuntime,
    pub(crate) options: Options,
    /// Objects that are to be made empty and not deleted ([`tidegate_store_remote::ownership`]).
    pub(crate) guards: Mutex<BTreeSet<Path>>,
}

/// What became of creating an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    Created,
    /// There is one, with this many bytes.
    Exists(u64),
}

/// What is known of an object without its content.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) length: u64,
    pub(crate) writer: Option<String>,
}

/// A word for the objects of one writer.
pub(crate) fn new_writer() -> String {
    let half = || RandomState::new().hash_one(WRITER);
    format!("{:016x}{:016x}", half(), half())
}

pub(crate) fn attributes(writer: &str) -> Attributes {
    Attributes::from_iter([(Attribute::Metadata(WRITER.into()), writer.to_owned())])
}

/// Whether an object of this name and length says that there is no file.
pub(crate) fn is_denial(path: &Path, length: u64) -> bool {
    length == 0 && path.filename() == Some(METADATA)
}

impl Bucket {
    /// What there is of an object, if there is one.
    pub(crate) async fn head(&self, path: &Path) -> Result<Option<Found>, GivenUp<Error>> {
        let head = || GetOptions { head: true, ..GetOptions::default() };
        let found = retry(&self.options.retry, failure::class, |_| async {
            match self.client.get_opts(path, head()).await {
                Ok(found) => Ok(Some(found)),
                Err(Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        });
        Ok(found.await?.map(|GetResult { meta, attributes, .. }| {
            let writer = attributes.get(&Attribute::Metadata(WRITER.into()));
            Found { length: meta.size, writer: writer.map(|value| value.to_string()) }
        }))
    }

    /// Creates an object if there is none. An answer that got lost is found out by who wrote it.
    pub(crate) async fn create(
        &self,
        path: &Path,
        bytes: Bytes,
        writer: &str,
    ) -> Result<Made, GivenUp<Error>> {
        let options = || PutOptions {
            mode: PutMode::Create,
            attributes: attributes(writer),
            ..PutOptions::default()
        };
        let made = retry(&self.options.retry, class_of_creation, |_| async {
            let payload = PutPayload::from_bytes(bytes.clone());
            match self.client.put_opts(path, payload, options()).await {
                Ok(_) => Ok(Made::Created),
                Err(conflict @ (Error::AlreadyExists { .. } | Error::Precondition { .. })) => {
                    match self.look(path, writer).await? {
                        Some(made) => Ok(made),
                        None => Err(conflict),
                    }
                }
                Err(error) => Err(error),
            }
        });
        match made.await {
            // Nobody knows; the object itself may, by now.
            Err(doubt) if doubt.may_have_happened => match self.head(path).await {
                Ok(Some(found)) => Ok(made_by(&found, writer)),
                _ => Err(doubt),
            },
            certain => certain,
        }
    }

    /// Creates an object if there is none; the content of the one that there is. For objects that
    /// are told apart by their content: an answer that got lost is found out by that.
    pub(crate) async fn create_or_get(
        &self,
        path: &Path,
        bytes: Bytes,
    ) -> Result<Option<Bytes>, GivenUp<Error>> {
        let options = || PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let others = |found: Bytes| (found != bytes).then_some(found);
        let made = retry(&self.options.retry, class_of_creation, |_| async {
            let payload = PutPayload::from_bytes(bytes.clone());
            match self.client.put_opts(path, payload, options()).await {
                Ok(_) => Ok(None),
                Err(conflict @ (Error::AlreadyExists { .. } | Error::Precondition { .. })) => {
                    match self.client.get_opts(path, GetOptions::default()).await {
                        Ok(got) => Ok(others(got.bytes().await?)),
                        Err(Error::NotFound { .. }) => Err(conflict),
                        Err(error) => Err(error),
                    }
                }
                Err(error) => Err(error),
            }
        });
        match made.await {
            Err(doubt) if doubt.may_have_happened => match self.get(path).await {
                Ok(Some(found)) => Ok(others(found)),
                _ => Err(doubt),
            },
            certain => certain,
        }
    }

    async fn look(&self, path: &Path, writer: &str) -> Result<Option<Made>, Error> {
        let head = GetOptions { head: true, ..GetOptions::default() };
        match self.client.get_opts(path, head).await {
            Ok(GetResult { meta, attributes, .. }) => {
                let found = attributes.get(&Attribute::Metadata(WRITER.into()));
                let found =
                    Found { length: meta.size, writer: found.map(|value| value.to_string()) };
                Ok(Some(made_by(&found, writer)))
            }
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts an object, over another one too.
    pub(crate) async fn overwrite(&self, path: &Path, bytes: Bytes) -> Result<(), GivenUp<Error>> {
        retry(&self.options.retry, failure::class, |_| async {
            let payload = PutPayload::from_bytes(bytes.clone());
            self.client.put_opts(path, payload, PutOptions::default()).await.map(drop)
        })
        .await
    }

    /// The whole content of a small object.
    pub(crate) async fn get(&self, path: &Path) -> Result<Option<Bytes>, GivenUp<Error>> {
        retry(&self.options.retry, failure::class, |_| async {
            let got = match self.client.get_opts(path, GetOptions::default()).await {
                Ok(got) => got,
                Err(Error::NotFound { .. }) => return Ok(None),
                Err(error) => return Err(error),
            };
            got.bytes().await.map(Some)
        })
        .await
    }

    /// Fills the buffer from `offset` on. A connection that breaks is taken up where it broke.
    pub(crate) async fn get_range(
        &self,
        path: &Path,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<(), GivenUp<Error>> {
        let filled = Mutex::new((0_usize, buffer));
        retry(&self.options.retry, failure::class, |_| async {
            let range = {
                let filled = filled.lock();
                Range { start: offset + filled.0 as u64, end: offset + filled.1.len() as u64 }
            };
            if range.is_empty() {
                return Ok(());
            }
            let options = GetOptions {
                range: Some(GetRange::Bounded(range.clone())),
                ..GetOptions::default()
            };
            let got = self.client.get_opts(path, options).await?;
            if got.range != range {
                return Err(short());
            }
            let mut stream = got.into_stream();
            while let Some(piece) = stream.next().await {
                let piece = piece?;
                let mut filled = filled.lock();
                let (done, buffer) = &mut *filled;
                let room = buffer.get_mut(*done..*done + piece.len()).ok_or_else(short)?;
                room.copy_from_slice(&piece);
                *done += piece.len();
            }
            let filled = filled.lock();
            if filled.0 == filled.1.len() { Ok(()) } else { Err(short()) }
        })
        .await
    }

    /// The objects and directories directly below a directory.
    pub(crate) async fn list(&self, directory: &Path) -> Result<ListResult, GivenUp<Error>> {
        retry(&self.options.retry, failure::class, |_| {
            self.client.list_with_delimiter(Some(directory))
        })
        .await
    }

    /// Every object below a directory.
    pub(crate) async fn list_all(
        &self,
        directory: &Path,
    ) -> Result<Vec<ObjectMeta>, GivenUp<Error>> {
        retry(&self.options.retry, failure::class, |_| async {
            let mut stream = self.client.list(Some(directory));
            let mut found = Vec::new();
            while let Some(object) = stream.next().await {
                found.push(object?);
            }
            Ok(found)
        })
        .await
    }

    /// Deletes an object, if it is there; makes it empty if it is guarded.
    pub(crate) async fn delete(&self, path: &Path) -> Result<(), GivenUp<Error>> {
        if self.guards.lock().contains(path) {
            return self.overwrite(path, Bytes::new()).await;
        }
        retry(&self.options.retry, failure::class, |_| async {
            match self.client.delete(path).await {
                Err(Error::NotFound { .. }) => Ok(()),
                other => other,
            }
        })
        .await
    }

    /// Waits for a request, and names its failure.
    pub(crate) fn wait<T: Send>(
        &self,
        operation: Operation,
        shown: Box<str>,
        request: impl Future<Output = Result<T, GivenUp<Error>>> + Send,
    ) -> Result<T, StorageError> {
        self.runtime.wait(request).map_err(|error| failure::given_up(operation, shown, &error))
    }
}

fn class_of_creation(error: &Error) -> ErrorClass {
    match error {
        // A conflict with another request, or with an object that is gone by now.
        Error::AlreadyExists { .. } | Error::Precondition { .. } => ErrorClass::Retryable,
        other => failure::class(other),
    }
}

fn made_by(found: &Found, writer: &str) -> Made {
    match found.writer.as_deref() == Some(writer) {
        true => Made::Created,
        false => Made::Exists(found.length),
    }
}

fn short() -> Error {
    Error::Generic { store: "object store", source: "an answer of another length".into() }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the client, whose configuration has credentials.
        f.debug_struct("Bucket").field("options", &self.options).finish_non_exhaustive()
    }
}
