//! What can be wrong with bytes that should be one of ours.

use tidegate_types::Digest;

use crate::frame::FrameKind;

/// Bytes that are not what they should be. Offsets count from the first byte of the frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// Fewer bytes than a header has.
    #[error("a header has {expected} bytes, found {found}: the file is cut off or is another one")]
    TooShort {
        /// 64.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// The first bytes are not ours.
    #[error("offset 0: the magic is {found:02x?}, not \"TIDEGATE\": no file of Tidegate")]
    Magic {
        /// The first eight bytes.
        found: [u8; 8],
    },
    /// The header was damaged.
    #[error("offset 56: the header's checksum is {found:016x}, its bytes give {expected:016x}")]
    HeaderChecksum {
        /// What the header's bytes give.
        expected: u64,
        /// What is stored.
        found: u64,
    },
    /// Written by a release that this one cannot read.
    #[error("offset 8: format version {found}; this release reads version {supported}")]
    Version {
        /// The version in the header.
        found: u16,
        /// The version that can be read.
        supported: u16,
    },
    /// A file of Tidegate, but of another kind.
    #[error("offset 10: frame kind {found}, expected {expected} ({})", *expected as u16)]
    Kind {
        /// The kind that was asked for.
        expected: FrameKind,
        /// The number in the header.
        found: u16,
    },
    /// A flag or reserved byte is set that this version does not define.
    #[error("offset {offset}: reserved bytes are set; a newer release may have written the file")]
    Reserved {
        /// Where the reserved field begins.
        offset: usize,
    },
    /// Bytes are missing at the end, or there are too many.
    #[error("offset 16: {expected} bytes in all, found {found}: cut off, or followed by others")]
    Length {
        /// The length of header and payload by the header.
        expected: u64,
        /// The number of bytes there are.
        found: u64,
    },
    /// The payload was damaged.
    #[error("offset 24: the payload's digest is {expected}, its bytes give {found}: damaged")]
    PayloadDigest {
        /// What the header says.
        expected: Digest,
        /// What the bytes give.
        found: Digest,
    },
    /// The payload is the one that was written, and yet is no payload of this kind.
    #[error("offset 64: the {length} bytes of payload are sound but not laid out as version 1")]
    Structure {
        /// The length of the payload in bytes.
        length: usize,
    },
    /// A value in the payload that nothing of ours writes.
    #[error("operator {operator:?}: {field} is {found}; {accepted}")]
    Value {
        /// The operator, empty for a field of the checkpoint itself.
        operator: Box<str>,
        /// Which field, such as `subtask.index`.
        field: &'static str,
        /// The value, texts in quotes.
        found: Box<str>,
        /// What is accepted.
        accepted: &'static str,
    },
    /// More than can be written.
    #[error(
        "{length} bytes of metadata exceed the limit of {limit}: keep state in files instead of \
         inline (a state backend other than memory)"
    )]
    TooLong {
        /// How many bytes it would need, at least.
        length: u64,
        /// How many are allowed.
        limit: u64,
    },
}
