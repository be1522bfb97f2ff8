//! Reading metadata in place.

use std::fmt;

use rkyv::rancor::Failure;
use tidegate_types::{
    AttemptId, CheckpointId, JobId, MaxParallelism, OperatorState, OperatorUid, Parallelism,
    SnapshotKind, SubtaskState,
};

use crate::frame::{self, FrameKind};
use crate::v1::{ArchivedMetadata, ArchivedOperator};
use crate::{CheckpointMetadata, MetadataError, convert, validate};

/// The metadata of a checkpoint, read from bytes where they lie (a mapped file, say).
///
/// Having one means that the bytes were verified: header, digest, structure, and every value.
#[derive(Clone, Copy)]
pub struct MetadataView<'a> {
    archived: &'a ArchivedMetadata,
}

impl<'a> MetadataView<'a> {
    /// Verifies the bytes of a whole metadata file. The first thing that is wrong is the error.
    ///
    /// Takes time in proportion to the bytes, and memory for one pointer an operator.
    pub fn open(bytes: &'a [u8]) -> Result<Self, MetadataError> {
        let payload = frame::open(FrameKind::Metadata, bytes)?;
        let archived = rkyv::access::<ArchivedMetadata, Failure>(payload)
            .map_err(|_| MetadataError::Structure { length: payload.len() })?;
        validate::metadata(archived)?;
        Ok(Self { archived })
    }

    /// The job.
    pub fn job_id(&self) -> JobId {
        JobId::from_bytes(self.archived.job_id)
    }

    /// The job's name.
    pub fn job_name(&self) -> &'a str {
        convert::text(&self.archived.job_name)
    }

    /// The number of the checkpoint.
    pub fn checkpoint(&self) -> CheckpointId {
        convert::checkpoint(self.archived)
    }

    /// The attempt that took it.
    pub fn attempt(&self) -> AttemptId {
        AttemptId::new(self.archived.attempt.to_native())
    }

    /// What kind of snapshot it is.
    pub fn kind(&self) -> SnapshotKind {
        convert::snapshot_kind(self.archived.kind)
    }

    /// When it was triggered: milliseconds since the Unix epoch.
    pub fn created_at_ms(&self) -> u64 {
        self.archived.created_at_ms.to_native()
    }

    /// How many operators have state in it.
    pub fn operator_count(&self) -> usize {
        self.archived.operators.len()
    }

    /// The operators, in the order in which they were written.
    pub fn operators(&self) -> impl ExactSizeIterator<Item = OperatorView<'a>> + use<'a> {
        self.archived.operators.iter().map(|archived| OperatorView { archived })
    }

    /// An owned copy of everything.
    pub fn to_metadata(&self) -> CheckpointMetadata {
        CheckpointMetadata {
            job_id: self.job_id(),
            job_name: self.job_name().to_owned(),
            checkpoint: self.checkpoint(),
            attempt: self.attempt(),
            kind: self.kind(),
            created_at_ms: self.created_at_ms(),
            operators: self.operators().map(|operator| operator.to_operator_state()).collect(),
        }
    }
}

impl fmt::Debug for MetadataView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetadataView")
            .field("job_id", &self.job_id())
            .field("checkpoint", &self.checkpoint())
            .field("operator_count", &self.operator_count())
            .finish_non_exhaustive()
    }
}

/// One operator in a [`MetadataView`].
#[derive(Clone, Copy)]
pub struct OperatorView<'a> {
    archived: &'a ArchivedOperator,
}

impl<'a> OperatorView<'a> {
    /// The text of the operator's uid.
    pub fn uid(&self) -> &'a str {
        convert::text(&self.archived.uid)
    }

    /// How many subtasks wrote its state.
    pub fn parallelism(&self) -> Parallelism {
        convert::parallelism(self.archived).0
    }

    /// How many key groups there are.
    pub fn max_parallelism(&self) -> MaxParallelism {
        convert::parallelism(self.archived).1
    }

    /// The index and state of each subtask that has state, by ascending index. Converts one
    /// subtask at a time.
    pub fn subtasks(&self) -> impl ExactSizeIterator<Item = (u16, SubtaskState)> + use<'a> {
        let subtasks = self.archived.subtasks.iter();
        subtasks.map(|subtask| (subtask.index.to_native(), convert::subtask(subtask)))
    }

    /// An owned copy of everything.
    pub fn to_operator_state(&self) -> OperatorState {
        convert::operator(self.archived)
    }
}

impl fmt::Debug for OperatorView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uid = OperatorUid::new(self.uid());
        f.debug_struct("OperatorView").field("uid", &uid).finish_non_exhaustive()
    }
}
