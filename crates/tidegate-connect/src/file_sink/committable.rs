//! A file of prepared output: what a checkpoint keeps of it, and how it is committed.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use tidegate_types::{Digest, DigestBuilder};

use super::disk::Disk;
use super::names::OutputName;
use crate::{ConnectError, FileOperation};

const VERSION: u8 = 1;

/// Prepared output. Its pending and its committed name follow from `name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Committable {
    pub(super) name: OutputName,
    pub(super) length: u64,
    pub(super) digest: Digest,
}

/// Whether a commit had to do anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Committed {
    Now,
    Before,
}

/// How closely a pending file is looked at before it is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// This process has just written it.
    Length,
    /// It comes from before a crash.
    Content,
}

impl Committable {
    /// The version, the length in little-endian order, the digest, the committed name.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend(self.length.to_le_bytes());
        bytes.extend(self.digest.to_bytes());
        bytes.extend(self.name.committed().into_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, ConnectError> {
        let decode = || {
            let (&version, rest) = bytes.split_first()?;
            let (length, rest) = rest.split_first_chunk()?;
            let (digest, name) = rest.split_first_chunk()?;
            let name = OutputName::parse_committed(str::from_utf8(name).ok()?)?;
            let (length, digest) = (u64::from_le_bytes(*length), Digest::from_bytes(*digest));
            (version == VERSION).then_some(Self { name, length, digest })
        };
        decode().ok_or(ConnectError::Malformed { what: "committable of a file sink" })
    }

    /// Renames the pending file, if that is not done. To be durable, it needs the directory synced.
    pub(super) fn commit(&self, disk: &Disk, check: Check) -> Result<Committed, ConnectError> {
        let pending = disk.locate(&self.name.pending());
        let committed = disk.locate(&self.name.committed());
        match length_of(&pending)? {
            Some(length) => self.verify(&pending, length, check)?,
            None => return self.committed_before(&pending, &committed),
        }
        match disk.rename(&pending, &committed) {
            Ok(()) => Ok(Committed::Now),
            // Another thread committed it between the look and the step.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.committed_before(&pending, &committed)
            }
            // Left by a rename in two steps that was stopped between them; or else a foreign file.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let length = length_of(&committed)?.unwrap_or(0);
                self.verify(&committed, length, Check::Content)?;
                disk.remove(&pending)?;
                Ok(Committed::Before)
            }
            Err(error) => Err(ConnectError::io(FileOperation::Rename, committed, error)),
        }
    }

    fn committed_before(
        &self,
        pending: &Path,
        committed: &Path,
    ) -> Result<Committed, ConnectError> {
        match length_of(committed)? {
            Some(length) => {
                self.verify(committed, length, Check::Length).map(|()| Committed::Before)
            }
            None => Err(ConnectError::OutputLost {
                pending: pending.to_owned(),
                committed: committed.to_owned(),
            }),
        }
    }

    fn verify(&self, path: &Path, found: u64, check: Check) -> Result<(), ConnectError> {
        let is_right = found == self.length
            && (check == Check::Length
                || digest_of(path)
                    .map_err(|error| ConnectError::io(FileOperation::Read, path, error))?
                    == self.digest);
        if is_right {
            return Ok(());
        }
        Err(ConnectError::OutputChanged { path: path.to_owned(), expected: self.length, found })
    }
}

fn length_of(path: &Path) -> Result<Option<u64>, ConnectError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ConnectError::io(FileOperation::Open, path, error)),
    }
}

fn digest_of(path: &Path) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut digest = DigestBuilder::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(digest.finish()),
            Ok(read) => digest.update(&buffer[..read]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[test]
fn what_is_kept_reads_back_and_no_part_of_it_does() {
    use tidegate_types::{AttemptId, CheckpointId};
    let name =
        OutputName { subtask: 3, checkpoint: CheckpointId::FIRST, attempt: AttemptId::new(7) };
    let committable = Committable { name, length: 42, digest: Digest::of(b"x") };
    let bytes = committable.encode();
    assert_eq!(Committable::decode(&bytes).unwrap(), committable);
    for end in 0..bytes.len() {
        assert!(Committable::decode(&bytes[..end]).is_err(), "{end} bytes");
    }
    let climbing = [&bytes[..25], b"../x"].concat();
    assert!(Committable::decode(&climbing).is_err());
}
