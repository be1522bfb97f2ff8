//! The protocol, step by step. It waits for nothing but the store.

use std::io;
use std::sync::Arc;

use tidegate_store::{
    Determinacy, Operation, OwnerInfo, PublishOutcome, StorageError, StoragePath,
};

use super::entry::{Beat, Entry, Event, Mark, beat_name, entry_name, number_of};
use super::store::{Created, OwnershipStore, Publication};

// More are of owners that nobody remembers.
const GUARDS_MAX: usize = 64;

/// The log of one directory.
#[derive(Debug)]
pub struct OwnerLog<S> {
    store: Arc<S>,
    directory: Box<str>,
}

/// What the log says at one moment.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The largest entry, with its maker's sign of life.
    pub(super) newest: Option<(u64, Entry, Beat)>,
}

/// A hold, as far as the log knows it.
#[derive(Clone, Debug)]
pub struct Tenure {
    mark: Mark,
    /// The number of its first entry.
    own: u64,
    /// The number of its newest entry.
    last: u64,
    /// All its publications up to this entry are done.
    settled: u64,
    /// Its own entries before the newest, which nobody needs.
    stale: Vec<u64>,
    guards: Vec<StoragePath>,
}

/// What became of [`OwnerLog::take`].
#[derive(Clone, Debug)]
pub enum Taking {
    /// The directory is the caller's.
    Taken(Tenure),
    /// Somebody made an entry before; this is what the log says now.
    Moved(Standing),
}

impl Standing {
    fn of(number: u64, entry: Entry, beat: Option<Vec<u8>>) -> Self {
        let beat = beat.and_then(|bytes| Beat::parse(&bytes));
        let beat = beat.filter(|beat| beat.token == entry.mark.token).unwrap_or_default();
        Self { newest: Some((number, entry, beat)) }
    }

    /// Who owns the directory.
    #[must_use]
    pub fn owner(&self) -> Option<&OwnerInfo> {
        self.holder().map(|mark| &mark.owner)
    }

    pub(super) fn holder(&self) -> Option<&Mark> {
        let (_, entry, _) = self.newest.as_ref()?;
        (entry.event != Event::Release).then_some(&entry.mark)
    }

    /// What moves as long as the owner lives.
    pub(super) fn sign(&self) -> (u64, u64) {
        self.newest.as_ref().map_or((0, 0), |(number, _, beat)| (*number, beat.count))
    }

    fn guards(&self) -> Vec<StoragePath> {
        let Some((number, entry, beat)) = &self.newest else { return Vec::new() };
        let mut guards = entry.guards.clone();
        if let Event::Publish(path) = &entry.event
            && beat.settled < *number
            && !guards.contains(path)
        {
            guards.push(path.clone());
        }
        guards.split_off(guards.len().saturating_sub(GUARDS_MAX))
    }
}

impl<S: OwnershipStore> OwnerLog<S> {
    /// The log of the directory that the store is of; errors name it so.
    pub fn new(store: Arc<S>, directory: impl Into<Box<str>>) -> Self {
        Self { store, directory: directory.into() }
    }

    /// Reads what the log says.
    pub async fn standing(&self) -> Result<Standing, StorageError> {
        loop {
            let Some(number) = newest(&self.store.list().await?) else {
                return Ok(Standing { newest: None });
            };
            // Gone since it was listed: there is a larger one.
            let Some(bytes) = self.store.read(&entry_name(number)).await? else { continue };
            let entry = self.parse(number, &bytes)?;
            let beat = self.store.read(&beat_name(entry.own)).await?;
            return Ok(Standing::of(number, entry, beat));
        }
    }

    fn parse(&self, number: u64, bytes: &[u8]) -> Result<Entry, StorageError> {
        Entry::parse(bytes).ok_or_else(|| {
            let path = format!("{}/{}/{}", self.directory, super::OWNERS, entry_name(number));
            let error = io::Error::new(io::ErrorKind::InvalidData, "it is no owner's entry");
            StorageError::from_io(Operation::Own, path, Determinacy::Determinate, error)
        })
    }

    /// Takes the directory from whoever has it by this standing, unless that is no longer true. To
    /// try again then takes fewer requests than an owner needs for a publication, so that one who
    /// publishes without a pause cannot keep the directory by that. `first` is the number of the first entry in a new directory: larger than any that one before
    /// it at the same place had.
    pub async fn take(
        &self,
        mark: &Mark,
        standing: &Standing,
        first: u64,
    ) -> Result<Taking, StorageError> {
        let number = standing.newest.as_ref().map_or(first, |(number, ..)| number + 1);
        let guards = standing.guards();
        let entry =
            Entry { event: Event::Own, own: number, mark: mark.clone(), guards: guards.clone() };
        let name = entry_name(number);
        match self.store.create(&name, entry.to_bytes()).await? {
            Created::Exists(found) if !is_of(&found, mark) => {
                let entry = self.parse(number, &found)?;
                // What he had settled stays so, whatever his counter has come to.
                let beat = standing.newest.as_ref().map(|(_, _, beat)| *beat);
                let beat = beat.filter(|beat| beat.token == entry.mark.token).unwrap_or_default();
                return Ok(Taking::Moved(Standing { newest: Some((number, entry, beat)) }));
            }
            _ => {}
        }
        let names = self.store.list().await?;
        if newest(&names) != Some(number) {
            // Below a larger one, which an owner made while we were looking.
            self.store.delete(&name).await?;
            return Ok(Taking::Moved(self.standing().await?));
        }
        // From here on the former owner's next entry fails. What he logged before is decided now.
        self.store.guard(&guards);
        for path in &guards {
            self.store.deny(path).await?;
        }
        let beat = Beat { token: mark.token, count: 0, settled: 0 };
        self.store.overwrite(&beat_name(number), beat.to_bytes()).await?;
        for name in &names {
            let older = ['e', 'h'].iter().find_map(|letter| number_of(name, *letter));
            if older.is_some_and(|older| older < number) {
                self.store.delete(name).await?;
            }
        }
        let mark = mark.clone();
        let stale = Vec::new();
        Ok(Taking::Taken(Tenure {
            mark,
            own: number,
            last: number,
            settled: number,
            stale,
            guards,
        }))
    }

    /// Whether the directory is still the holder's.
    pub async fn check(&self, tenure: &mut Tenure) -> Result<(), StorageError> {
        match newest(&self.store.list().await?) {
            Some(number) if number == tenure.last => Ok(()),
            // An entry of ours whose creation was in doubt.
            Some(number) if number > tenure.last && self.is_ours(number, &tenure.mark).await? => {
                tenure.advance(number);
                Ok(())
            }
            _ => Err(self.lost()),
        }
    }

    /// Publishes a file, if the directory is still the holder's.
    pub async fn publish(
        &self,
        tenure: &mut Tenure,
        path: &StoragePath,
        bytes: &[u8],
    ) -> Result<PublishOutcome, StorageError> {
        self.append(tenure, Event::Publish(path.clone())).await?;
        match self.store.publish(path, bytes).await {
            Ok(outcome) => {
                tenure.settled = tenure.last;
                match outcome {
                    Publication::Published => Ok(PublishOutcome::Published),
                    Publication::AlreadyExists => Ok(PublishOutcome::AlreadyExists),
                    Publication::Denied => Err(self.lost()),
                }
            }
            Err(error) => {
                // It may still be on its way: the entries to come say so.
                if !tenure.guards.contains(path) {
                    tenure.guards.push(path.clone());
                }
                Err(error)
            }
        }
    }

    /// Shows a sign of life, and that publications are done; and clears away entries that nobody
    /// needs. `false` when the directory is lost.
    pub async fn show_life(&self, tenure: &Tenure, count: u64) -> Result<bool, StorageError> {
        let name = beat_name(tenure.own);
        if !self.is_ours(tenure.last, &tenure.mark).await? {
            self.store.delete(&name).await?;
            return Ok(false);
        }
        let beat = Beat { token: tenure.mark.token, count, settled: tenure.settled };
        self.store.overwrite(&name, beat.to_bytes()).await?;
        for number in &tenure.stale {
            self.store.delete(&entry_name(*number)).await?;
        }
        Ok(true)
    }

    /// Gives the directory free, if it is still the holder's.
    pub async fn release(&self, tenure: &mut Tenure) -> Result<(), StorageError> {
        self.check(tenure).await?;
        self.append(tenure, Event::Release).await?;
        for number in &tenure.stale {
            self.store.delete(&entry_name(*number)).await?;
        }
        self.store.delete(&beat_name(tenure.own)).await
    }

    /// Makes the holder's next entry. When it has, the directory was his at that moment, and whoever
    /// takes it over finds the entry.
    async fn append(&self, tenure: &mut Tenure, event: Event) -> Result<(), StorageError> {
        let (mark, own, guards) = (tenure.mark.clone(), tenure.own, tenure.guards.clone());
        let entry = Entry { event, own, mark, guards };
        let bytes = entry.to_bytes();
        let number = loop {
            let number = tenure.last + 1;
            match self.store.create(&entry_name(number), bytes.clone()).await? {
                Created::Created => break number,
                // Our own, and the answer was lost.
                Created::Exists(found) if found == bytes => break number,
                // Our own, of a publication that failed.
                Created::Exists(found) if is_of(&found, &tenure.mark) => tenure.advance(number),
                Created::Exists(_) => return Err(self.lost()),
            }
        };
        let before = tenure.last;
        tenure.advance(number);
        let names = self.store.list().await?;
        if newest(&names) == Some(number) && names.contains(&entry_name(before)) {
            return Ok(());
        }
        // Stray below a larger one, or all that is left of a directory that was deleted.
        self.store.delete(&entry_name(number)).await?;
        Err(self.lost())
    }

    /// Whether the entry with this number is of this hold.
    async fn is_ours(&self, number: u64, mark: &Mark) -> Result<bool, StorageError> {
        let found = self.store.read(&entry_name(number)).await?;
        Ok(found.is_some_and(|bytes| is_of(&bytes, mark)))
    }

    fn lost(&self) -> StorageError {
        StorageError::OwnershipLost { directory: self.directory.clone() }
    }
}

impl Tenure {
    /// The number of the entry with which it began: larger than that of every tenure before it.
    #[must_use]
    pub fn began(&self) -> u64 {
        self.own
    }

    /// Entries that were cleared away need not be again.
    pub(super) fn forget_stale(&mut self, cleared: &Self) {
        self.stale.retain(|number| !cleared.stale.contains(number));
    }

    fn advance(&mut self, number: u64) {
        self.stale.push(self.last);
        self.last = number;
    }
}

fn is_of(bytes: &[u8], mark: &Mark) -> bool {
    Entry::parse(bytes).is_some_and(|entry| entry.mark.token == mark.token)
}

fn newest(names: &[String]) -> Option<u64> {
    names.iter().filter_map(|name| number_of(name, 'e')).max()
}
