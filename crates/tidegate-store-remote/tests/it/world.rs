//! A store in which every request is one step, taken when a test says so.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::{Mutex, MutexGuard};
use tidegate_store::{Determinacy, Operation, StorageError, StoragePath};
use tidegate_store_remote::ownership::{Created, OwnershipStore, Publication};

/// What a request does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails without an effect.
    Fails,
    /// It has its effect, and fails.
    HappensAndFails,
    /// It has its effect; the answer is lost, and the next attempt finds that.
    AnswerLost,
    /// It fails; a publication arrives when the network is scheduled, maybe much later.
    ArrivesLate,
}

/// Everything that is visible to all.
#[derive(Default)]
pub(crate) struct World {
    objects: BTreeMap<String, Vec<u8>>,
    /// Empty ones are denied.
    files: BTreeMap<String, Vec<u8>>,
    late: Vec<(String, Vec<u8>)>,
    /// The takes that have returned: by the number with which the tenure began, and by whom.
    takes: BTreeMap<u64, u8>,
    /// Who made which file appear.
    pub(crate) appeared: Vec<(u8, String)>,
}

pub(crate) type SharedWorld = Arc<Mutex<World>>;

impl World {
    pub(crate) fn file(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice).filter(|bytes| !bytes.is_empty())
    }

    pub(crate) fn take_returned(&mut self, began: u64, by: u8) {
        self.takes.insert(began, by);
    }

    pub(crate) fn last_take(&self) -> Option<u8> {
        self.takes.last_key_value().map(|(_, by)| *by)
    }

    /// Lands one publication that was on its way.
    pub(crate) fn land(&mut self) {
        if let Some((path, bytes)) = self.late.pop() {
            let _ = self.put(path, bytes);
        }
    }

    // The law: who makes a file appear is who took the directory last.
    fn put(&mut self, path: String, bytes: Vec<u8>) -> Publication {
        match self.files.get(&path) {
            Some(denied) if denied.is_empty() => Publication::Denied,
            Some(_) => Publication::AlreadyExists,
            None => {
                let by = bytes[0];
                let last = self.last_take();
                assert!(last == Some(by), "{path} of {by} appears after {last:?} took over");
                self.appeared.push((by, path.clone()));
                self.files.insert(path, bytes);
                Publication::Published
            }
        }
    }
}

/// One process's view of the store.
pub(crate) struct Process {
    world: SharedWorld,
    guards: Mutex<BTreeSet<String>>,
    requests: Mutex<usize>,
    /// Of the request with this number, counted from zero.
    fault: Option<(usize, Fault)>,
}

impl Process {
    pub(crate) fn new(world: &SharedWorld, fault: Option<(usize, Fault)>) -> Self {
        let (guards, requests) = (Mutex::default(), Mutex::default());
        Self { world: Arc::clone(world), guards, requests, fault }
    }

    /// Deletes a file as a store does that is told of guards.
    pub(crate) async fn delete_file(&self, path: &str) {
        Step::default().await;
        let is_guarded = self.guards.lock().contains(path);
        let mut world = self.world.lock();
        if is_guarded {
            world.files.insert(path.to_owned(), Vec::new());
        } else {
            world.files.remove(path);
        }
    }

    async fn request(&self) -> (MutexGuard<'_, World>, Option<Fault>) {
        Step::default().await;
        let mut requests = self.requests.lock();
        let number = *requests;
        *requests += 1;
        let fault = self.fault.filter(|(at, _)| *at == number).map(|(_, fault)| fault);
        (self.world.lock(), fault)
    }
}

fn failed() -> StorageError {
    let error = io::Error::from(io::ErrorKind::TimedOut);
    StorageError::from_io(Operation::Own, "model", Determinacy::Indeterminate, error)
}

impl OwnershipStore for Process {
    async fn create(&self, name: &str, bytes: Vec<u8>) -> Result<Created, StorageError> {
        let (mut world, fault) = self.request().await;
        if matches!(fault, Some(Fault::Fails | Fault::ArrivesLate)) {
            return Err(failed());
        }
        if let Some(found) = world.objects.get(name) {
            return Ok(Created::Exists(found.clone()));
        }
        world.objects.insert(name.to_owned(), bytes.clone());
        match fault {
            Some(Fault::HappensAndFails) => Err(failed()),
            Some(Fault::AnswerLost) => Ok(Created::Exists(bytes)),
            _ => Ok(Created::Created),
        }
    }

    async fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        let (world, fault) = self.request().await;
        if fault.is_some() { Err(failed()) } else { Ok(world.objects.get(name).cloned()) }
    }

    async fn list(&self) -> Result<Vec<String>, StorageError> {
        let (world, fault) = self.request().await;
        if fault.is_some() { Err(failed()) } else { Ok(world.objects.keys().cloned().collect()) }
    }

    async fn delete(&self, name: &str) -> Result<(), StorageError> {
        let (mut world, fault) = self.request().await;
        if fault != Some(Fault::Fails) {
            world.objects.remove(name);
        }
        if fault.is_some() { Err(failed()) } else { Ok(()) }
    }

    async fn overwrite(&self, name: &str, bytes: Vec<u8>) -> Result<(), StorageError> {
        let (mut world, fault) = self.request().await;
        if fault != Some(Fault::Fails) {
            world.objects.insert(name.to_owned(), bytes);
        }
        if fault.is_some() { Err(failed()) } else { Ok(()) }
    }

    async fn publish(&self, path: &StoragePath, bytes: &[u8]) -> Result<Publication, StorageError> {
        let (mut world, fault) = self.request().await;
        match fault {
            Some(Fault::Fails) => Err(failed()),
            Some(Fault::ArrivesLate) => {
                world.late.push((path.to_string(), bytes.to_vec()));
                Err(failed())
            }
            Some(Fault::HappensAndFails) => {
                let _ = world.put(path.to_string(), bytes.to_vec());
                Err(failed())
            }
            Some(Fault::AnswerLost) | None => Ok(world.put(path.to_string(), bytes.to_vec())),
        }
    }

    async fn deny(&self, path: &StoragePath) -> Result<(), StorageError> {
        let (mut world, fault) = self.request().await;
        if fault != Some(Fault::Fails) {
            world.files.entry(path.to_string()).or_default();
        }
        if fault.is_some() { Err(failed()) } else { Ok(()) }
    }

    fn guard(&self, paths: &[StoragePath]) {
        self.guards.lock().extend(paths.iter().map(StoragePath::to_string));
    }
}

/// Is ready the second time it is asked.
#[derive(Default)]
struct Step(bool);

impl Future for Step {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}
