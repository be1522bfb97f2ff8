//! The sink operator: two-phase commit around a [`TwoPhaseSink`].
//!
//! Numbered steps of one checkpoint, so that every crash between them has an answer:
//! 1. barrier: what was written is sealed; a snapshot thread makes it durable, still invisible, and
//!    names it (committables);
//! 2. the committables, with all earlier ones not yet committed, go into the checkpoint;
//! 3. the checkpoint is published: from here on the output belongs to it;
//! 4. `commit` makes the output visible.
//!
//! A crash before 3 leaves output that no checkpoint names: recovery removes it, and the records
//! come again. A crash after 3 leaves committables in the checkpoint: recovery commits them.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tidegate_connect::{SealedOutput, SinkContext, SinkFactory, TwoPhaseSink};
use tidegate_state::list_handle;
use tidegate_types::{CheckpointId, Distribution, OperatorUid};

use crate::error::TaskError;
use crate::push::{Lifecycle, Push};
use crate::record::Record;
use crate::snapshot::{OperatorSnapshot, SnapshotBuilder};
use crate::task::TaskContext;

/// The name of the operator state that holds what is yet to be committed.
pub(crate) const COMMITTABLES: &str = "committables";

pub(crate) struct SinkOperator<W> {
    uid: OperatorUid,
    writer: W,
    /// Sealed and not yet committed, by the checkpoint that it was sealed for.
    uncommitted: BTreeMap<CheckpointId, Arc<Output>>,
}

impl<W> SinkOperator<W> {
    pub(crate) fn open<F: SinkFactory<Writer = W>>(
        uid: OperatorUid,
        factory: &F,
        context: &TaskContext,
    ) -> Result<Self, TaskError> {
        let writer = factory.open(&SinkContext {
            job: context.shared.job,
            operator: uid.clone(),
            subtask: context.subtask,
            attempt: context.shared.attempt,
        })?;
        Ok(Self { uid, writer, uncommitted: BTreeMap::new() })
    }
}

impl<W: TwoPhaseSink> Lifecycle for SinkOperator<W> {
    fn downstream(&mut self) -> Option<&mut dyn Lifecycle> {
        None
    }

    fn barrier(&mut self, snapshot: &mut SnapshotBuilder) -> Result<(), TaskError> {
        let checkpoint = snapshot.barrier().checkpoint;
        let sealed = self.writer.seal(checkpoint)?;
        self.uncommitted.insert(checkpoint, Arc::new(Output::new(sealed)));
        let outputs: Vec<Arc<Output>> = self.uncommitted.values().cloned().collect();
        snapshot.add(
            self.uid.clone(),
            Box::new(move |_| {
                let mut items = Vec::new();
                for output in &outputs {
                    items.extend(output.prepare()?);
                }
                let list = list_handle(COMMITTABLES, Distribution::Split, &items);
                let mut snapshot = OperatorSnapshot::default();
                snapshot.state.lists.push(list);
                Ok(snapshot)
            }),
        );
        Ok(())
    }

    fn completed(&mut self, checkpoint: CheckpointId) -> Result<(), TaskError> {
        let later = self.uncommitted.split_off(&checkpoint.next());
        let mut due = Vec::new();
        for output in std::mem::replace(&mut self.uncommitted, later).values() {
            // Prepared long ago: the checkpoint holds it.
            due.extend(output.prepare()?);
        }
        Ok(self.writer.commit(&due)?)
    }
}

/// The output between two barriers. Whichever snapshot comes first makes it durable: that of its
/// own checkpoint, or a later one if that was aborted before it got so far.
struct Output(Mutex<OutputState>);

enum OutputState {
    Sealed(SealedOutput),
    Prepared(Vec<Vec<u8>>),
    /// It could not be made durable: its records are lost to this attempt, which fails.
    Lost,
}

impl Output {
    fn new(sealed: SealedOutput) -> Self {
        Self(Mutex::new(OutputState::Sealed(sealed)))
    }

    /// The committables, after everything is durable.
    fn prepare(&self) -> Result<Vec<Vec<u8>>, TaskError> {
        let mut state = self.0.lock();
        let committables = match std::mem::replace(&mut *state, OutputState::Lost) {
            OutputState::Sealed(sealed) => sealed.finish().map_err(TaskError::OutputLost)?,
            OutputState::Prepared(committables) => committables,
            // Who lost it has said why.
            OutputState::Lost => return Err(TaskError::Cancelled),
        };
        *state = OutputState::Prepared(committables.clone());
        Ok(committables)
    }
}

impl<W: TwoPhaseSink> Push<W::Record> for SinkOperator<W> {
    fn push(&mut self, record: Record<W::Record>) -> Result<(), TaskError> {
        Ok(self.writer.write(record.value)?)
    }
}
