//! The sink operator: two-phase commit around a [`TwoPhaseSink`].
//!
//! Numbered steps of one checkpoint, so that every crash between them has an answer:
//! 1. barrier: `prepare` makes what was written durable and invisible, and names it (committables);
//! 2. the committables, with all earlier ones not yet committed, go into the checkpoint;
//! 3. the checkpoint is published: from here on the output belongs to it;
//! 4. `commit` makes the output visible.
//!
//! A crash before 3 leaves output that no checkpoint names: recovery removes it, and the records
//! come again. A crash after 3 leaves committables in the checkpoint: recovery commits them.

use std::collections::BTreeMap;

use tidegate_connect::{SinkContext, SinkFactory, TwoPhaseSink};
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
    /// Prepared and not yet committed, by the checkpoint that prepared it.
    prepared: BTreeMap<CheckpointId, Vec<Vec<u8>>>,
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
        Ok(Self { uid, writer, prepared: BTreeMap::new() })
    }
}

impl<W: TwoPhaseSink> Lifecycle for SinkOperator<W> {
    fn downstream(&mut self) -> Option<&mut dyn Lifecycle> {
        None
    }

    fn barrier(&mut self, snapshot: &mut SnapshotBuilder) -> Result<(), TaskError> {
        let checkpoint = snapshot.barrier().checkpoint;
        let committables = self.writer.prepare(checkpoint)?;
        self.prepared.insert(checkpoint, committables);
        let items: Vec<Vec<u8>> = self.prepared.values().flatten().cloned().collect();
        snapshot.add(
            self.uid.clone(),
            Box::new(move |_| {
                let list = list_handle(COMMITTABLES, Distribution::Split, &items);
                let mut snapshot = OperatorSnapshot::default();
                snapshot.state.lists.push(list);
                Ok(snapshot)
            }),
        );
        Ok(())
    }

    fn completed(&mut self, checkpoint: CheckpointId) -> Result<(), TaskError> {
        let later = self.prepared.split_off(&checkpoint.next());
        let due: Vec<Vec<u8>> =
            std::mem::replace(&mut self.prepared, later).into_values().flatten().collect();
        self.writer.commit(&due)?;
        Ok(())
    }
}

impl<W: TwoPhaseSink> Push<W::Record> for SinkOperator<W> {
    fn push(&mut self, record: Record<W::Record>) -> Result<(), TaskError> {
        Ok(self.writer.write(record.value)?)
    }
}
