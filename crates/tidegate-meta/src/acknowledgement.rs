//! The states of one task's operators on their way to the coordinator: the same bytes whether it
//! runs in the same process or on another machine.

use rkyv::rancor::Failure;
use tidegate_types::{OperatorUid, RegisteredState, SubtaskState};

use crate::encode::{check_length, frame, registered, subtask};
use crate::frame::{self as frames, FrameKind};
use crate::v1::{AcknowledgedOperator, Acknowledgement, ArchivedAcknowledgement, Bytes};
use crate::{MetadataError, convert, validate};

/// What one operator of an acknowledging subtask holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorSubtaskState {
    /// The operator.
    pub uid: OperatorUid,
    /// The states that it registered.
    pub registered: Vec<RegisteredState>,
    /// The state of the acknowledging subtask.
    pub state: SubtaskState,
}

/// The states of an acknowledgement as a frame.
///
/// # Errors
///
/// [`MetadataError::TooLong`] above [`crate::MAX_LENGTH`].
pub fn encode_subtask_states(states: &[OperatorSubtaskState]) -> Result<Vec<u8>, MetadataError> {
    check_length(states.iter().map(|operator| &operator.state))?;
    let operators = states.iter().map(|operator| AcknowledgedOperator {
        uid: Bytes(operator.uid.as_str().as_bytes()),
        registered: operator.registered.iter().map(registered).collect(),
        state: subtask(0, &operator.state),
    });
    frame(FrameKind::Acknowledgement, &Acknowledgement { operators: operators.collect() })
}

/// The states in a frame of [`encode_subtask_states`]. Everything is verified first.
pub fn decode_subtask_states(bytes: &[u8]) -> Result<Vec<OperatorSubtaskState>, MetadataError> {
    let payload = frames::open(FrameKind::Acknowledgement, bytes)?;
    let archived = rkyv::access::<ArchivedAcknowledgement, Failure>(payload)
        .map_err(|_| MetadataError::Structure { length: payload.len() })?;
    validate::acknowledgement(archived)?;
    let operators = archived.operators.iter().map(|operator| OperatorSubtaskState {
        uid: convert::uid(&operator.uid),
        registered: operator.registered.iter().map(convert::registered).collect(),
        state: convert::subtask(&operator.state),
    });
    Ok(operators.collect())
}
