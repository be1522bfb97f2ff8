//! Version 1 of the payloads: the wire structs. **Frozen**: a released layout never changes.
//!
//! `docs/format.md` gives every byte. With the features named in the workspace manifest, rkyv lays
//! a struct out as its fields in the order written here, without padding; a list is a signed
//! 32-bit offset from its own position and an unsigned 32-bit count; integers are little-endian.
//! Tags are plain bytes with 0 reserved, so that an unknown one is a named error of ours.

use rkyv::rancor::Fallible;
use rkyv::ser::{Allocator, Writer};
use rkyv::vec::{ArchivedVec, VecResolver};
use rkyv::{Archive, Place, Serialize};

/// Borrowed bytes, archived as a list of bytes: state goes into the file without a copy before.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl Archive for Bytes<'_> {
    type Archived = ArchivedVec<u8>;
    type Resolver = VecResolver;

    fn resolve(&self, resolver: VecResolver, out: Place<ArchivedVec<u8>>) {
        ArchivedVec::resolve_from_slice(self.0, resolver, out);
    }
}

impl<S: Fallible + Allocator + Writer + ?Sized> Serialize<S> for Bytes<'_> {
    fn serialize(&self, serializer: &mut S) -> Result<VecResolver, S::Error> {
        ArchivedVec::serialize_from_slice(self.0, serializer)
    }
}

/// The root of a metadata frame.
#[derive(Archive, Serialize)]
#[rkyv(archived = LaidMetadata)]
pub(crate) struct Metadata<'a> {
    pub(crate) job_id: [u8; 16],
    pub(crate) job_name: Bytes<'a>,
    pub(crate) checkpoint: u64,
    pub(crate) attempt: u64,
    /// 1 checkpoint, 2 savepoint, 3 final.
    pub(crate) kind: u8,
    pub(crate) created_at_ms: u64,
    pub(crate) operators: Vec<Operator<'a>>,
}

#[derive(Archive, Serialize)]
#[rkyv(archived = LaidOperator)]
pub(crate) struct Operator<'a> {
    pub(crate) uid: Bytes<'a>,
    pub(crate) parallelism: u16,
    pub(crate) max_parallelism: u16,
    pub(crate) registered: Vec<Registered<'a>>,
    pub(crate) subtasks: Vec<Subtask<'a>>,
}

#[derive(Archive, Serialize)]
#[rkyv(archived = LaidRegistered)]
pub(crate) struct Registered<'a> {
    pub(crate) name: Bytes<'a>,
    /// 1 value, 2 list, 3 map, 4 reducing, 5 aggregating, 6 timer, 7 operator list.
    pub(crate) kind: u8,
    pub(crate) fingerprint: u64,
    pub(crate) schema_version: u32,
    pub(crate) types: Bytes<'a>,
}

#[derive(Archive, Serialize)]
#[rkyv(archived = LaidSubtask)]
pub(crate) struct Subtask<'a> {
    pub(crate) index: u16,
    /// 1 running, 2 finished.
    pub(crate) progress: u8,
    pub(crate) keyed: Vec<Keyed<'a>>,
    pub(crate) lists: Vec<List<'a>>,
    pub(crate) channels: Vec<Channel<'a>>,
}

#[derive(Archive, Serialize)]
#[rkyv(archived = LaidKeyed)]
pub(crate) struct Keyed<'a> {
    /// 1 canonical, 2 fs, 3 rocksdb.
    pub(crate) backend: u8,
    pub(crate) first_key_group: u16,
    pub(crate) last_key_group: u16,
    pub(crate) manifest: Handle<'a>,
    pub(crate) shared: Vec<Shared<'a>>,
}

#[derive(Archive, Serialize)]
#[rkyv(archived = LaidShared)]
pub(crate) struct Shared<'a> {
    pub(crate) name: Bytes<'a>,
    pub(crate) file: Handle<'a>,
}

#[derive(Archive, Serialize)]
#[rkyv(archived = LaidList)]
pub(crate) struct List<'a> {
    pub(crate) name: Bytes<'a>,
    /// 1 split, 2 union, 3 broadcast.
    pub(crate) distribution: u8,
    pub(crate) item_lengths: Vec<u32>,
    pub(crate) items: Handle<'a>,
}

#[derive(Archive, Serialize)]
#[rkyv(archived = LaidChannel)]
pub(crate) struct Channel<'a> {
    /// 1 input, 2 output.
    pub(crate) kind: u8,
    pub(crate) gate: u16,
    pub(crate) index: u16,
    pub(crate) record_lengths: Vec<u32>,
    pub(crate) records: Handle<'a>,
}

/// State inline, or a file.
#[derive(Archive, Serialize)]
#[rkyv(archived = LaidHandle)]
pub(crate) struct Handle<'a> {
    /// 1 inline, 2 file in the checkpoint's directory, 3 file in the job's, 4 file anywhere.
    pub(crate) place: u8,
    /// The state itself, or the reference to the file as UTF-8.
    pub(crate) content: Bytes<'a>,
    /// The length of the state in bytes.
    pub(crate) length: u64,
    /// The digest of the state.
    pub(crate) digest: [u8; 16],
}

/// The root of an acknowledgement frame: one entry for each operator of the chain.
#[derive(Archive, Serialize)]
#[rkyv(archived = LaidAcknowledgement)]
pub(crate) struct Acknowledgement<'a> {
    pub(crate) operators: Vec<AcknowledgedOperator<'a>>,
}

#[derive(Archive, Serialize)]
#[rkyv(archived = LaidAcknowledgedOperator)]
pub(crate) struct AcknowledgedOperator<'a> {
    pub(crate) uid: Bytes<'a>,
    pub(crate) registered: Vec<Registered<'a>>,
    pub(crate) state: Subtask<'a>,
}

// What is read borrows from nothing but the bytes that it lies in.
pub(crate) type ArchivedMetadata = LaidMetadata<'static>;
pub(crate) type ArchivedOperator = LaidOperator<'static>;
pub(crate) type ArchivedRegistered = LaidRegistered<'static>;
pub(crate) type ArchivedSubtask = LaidSubtask<'static>;
pub(crate) type ArchivedKeyed = LaidKeyed<'static>;
pub(crate) type ArchivedShared = LaidShared<'static>;
pub(crate) type ArchivedList = LaidList<'static>;
pub(crate) type ArchivedChannel = LaidChannel<'static>;
pub(crate) type ArchivedHandle = LaidHandle<'static>;
pub(crate) type ArchivedAcknowledgement = LaidAcknowledgement<'static>;
pub(crate) type ArchivedAcknowledgedOperator = LaidAcknowledgedOperator<'static>;

// The sizes in docs/format.md. A change here is a new version, not a patch.
const _: () = {
    assert!(size_of::<ArchivedMetadata>() == 57);
    assert!(size_of::<ArchivedOperator>() == 28);
    assert!(size_of::<ArchivedRegistered>() == 29);
    assert!(size_of::<ArchivedSubtask>() == 27);
    assert!(size_of::<ArchivedKeyed>() == 46);
    assert!(size_of::<ArchivedShared>() == 41);
    assert!(size_of::<ArchivedList>() == 50);
    assert!(size_of::<ArchivedChannel>() == 46);
    assert!(size_of::<ArchivedHandle>() == 33);
    assert!(size_of::<ArchivedAcknowledgement>() == 8);
    assert!(size_of::<ArchivedAcknowledgedOperator>() == 43);
    assert!(align_of::<ArchivedMetadata>() == 1);
};
