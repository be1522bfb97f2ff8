//! The stack of what is below the overlays, oldest first: parts of segments, then frozen overlays.
//!
//! Invariants: frozen overlays become parts in their order, so that every one that is not written is
//! above every part; merging replaces a run of neighbours by one part in their place.

use std::ops::Range;
use std::sync::Arc;

use crate::delta::Delta;
use crate::stored::{Part, Stored};

#[derive(Clone, Default)]
pub(crate) struct Stack {
    parts: Vec<Part>,
    deltas: Vec<Arc<Delta>>,
}

/// Neighbouring parts that have become one.
#[derive(Debug)]
pub(crate) struct Merged {
    pub(crate) inputs: Vec<Arc<Stored>>,
    pub(crate) output: Part,
}

impl Stack {
    pub(crate) fn new(parts: Vec<Part>) -> Self {
        Self { parts, deltas: Vec::new() }
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub(crate) fn deltas(&self) -> &[Arc<Delta>] {
        &self.deltas
    }

    pub(crate) fn push(&mut self, delta: Arc<Delta>) {
        self.deltas.push(delta);
    }

    /// Turns written overlays into parts; gives what they were.
    pub(crate) fn settle(&mut self, part: impl Fn(Arc<Stored>) -> Part) -> Vec<Arc<Delta>> {
        let mut settled = Vec::new();
        while let Some(stored) = self.deltas.first().and_then(|delta| delta.written()) {
            self.parts.push(part(stored));
            settled.push(self.deltas.remove(0));
        }
        settled
    }

    /// Puts the merged part in the place of what it was merged from; gives back what is not wanted
    /// any more: those, or the merged part if they are not neighbours here.
    pub(crate) fn replace(&mut self, merged: Merged) -> Vec<Part> {
        match self.position(&merged.inputs) {
            Some(run) => self.parts.splice(run, [merged.output]).collect(),
            None => vec![merged.output],
        }
    }

    fn position(&self, inputs: &[Arc<Stored>]) -> Option<Range<usize>> {
        let is_same = |run: &[Part]| {
            run.iter().zip(inputs).all(|(part, input)| Arc::ptr_eq(&part.stored, input))
        };
        // A segment may be here twice, for different key groups.
        let start = self.parts.windows(inputs.len().max(1)).position(is_same)?;
        (!inputs.is_empty()).then_some(start..start + inputs.len())
    }
}
