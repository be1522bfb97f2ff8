//! The way back: what each subtask of the job gets of a checkpoint, at any parallelism.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_meta::CheckpointMetadata;
use tidegate_types::{
    ChannelKind, ChannelStateHandle, Distribution, KeyGroupRange, KeyedStateHandle,
    ListStateHandle, MaxParallelism, OperatorState, OperatorUid, RegisteredState, Subtask,
};

use crate::in_flight::are_keyed;
use crate::redistribute::deal;
use crate::{InFlightSelection, RestoreError, RestoredList, TaskTopology, Topology};

/// How the state of a checkpoint is dealt out. Made once; asked by each subtask.
#[derive(Clone, Debug)]
pub struct RestorePlan {
    operators: HashMap<OperatorUid, OperatorState>,
    max_parallelism: MaxParallelism,
}

/// What one subtask of one operator gets back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubtaskRestore {
    /// The handles that cover some of its key groups (and maybe more), each with the states that
    /// the operator had registered.
    pub keyed: Vec<(KeyedStateHandle, Vec<RegisteredState>)>,
    /// Each list of the operator, also without items for this subtask.
    pub lists: Vec<RestoredList>,
    /// Where its records in flight lie, in the order in which they are to be processed, before
    /// any other record.
    pub channels: Vec<ChannelStateHandle>,
    /// Which of the records in `channels` are its own.
    pub in_flight: InFlightSelection,
    /// The states that the operator had registered.
    pub registered: Vec<RegisteredState>,
    /// Whether it had processed all of its input.
    pub finished: bool,
}

impl RestorePlan {
    /// Fits a checkpoint to a job. State that no operator claims is refused unless
    /// `allow_non_restored`.
    pub fn new(
        metadata: &CheckpointMetadata,
        topology: &Topology,
        allow_non_restored: bool,
    ) -> Result<Self, RestoreError> {
        let max = topology.max_parallelism;
        if let Some(wide) = topology.tasks.iter().find(|t| t.parallelism.get() > max.get()) {
            let (task, parallelism) = (wide.task, wide.parallelism);
            return Err(RestoreError::Parallelism { task, parallelism, max });
        }
        let mut operators = HashMap::new();
        let mut unclaimed = Vec::new();
        for operator in metadata.operators.iter().filter(|operator| has_state(operator)) {
            match topology.task_of(&operator.uid) {
                Some(task) => {
                    check(operator, task, max)?;
                    operators.insert(operator.uid.clone(), operator.clone());
                }
                None => unclaimed.push(operator.uid.clone()),
            }
        }
        if !unclaimed.is_empty() && !allow_non_restored {
            return Err(RestoreError::Unclaimed { operators: unclaimed });
        }
        Ok(Self { operators, max_parallelism: max })
    }

    /// What this subtask of an operator gets: nothing, when the checkpoint holds nothing of it.
    ///
    /// # Panics
    ///
    /// When the subtask's parallelism is above the job's maximum.
    #[must_use]
    pub fn for_subtask(&self, operator: &OperatorUid, subtask: Subtask) -> SubtaskRestore {
        let key_groups = KeyGroupRange::of_subtask(self.max_parallelism, subtask);
        let Some(operator) = self.operators.get(operator) else {
            return SubtaskRestore::default();
        };
        let states = || operator.subtasks.iter().map(|(_, state)| state);
        let keyed = states().flat_map(|state| &state.keyed);
        let mine = keyed.filter(|handle| handle.key_groups.intersection(key_groups).is_some());
        let own = operator.subtasks.iter().find(|(index, _)| *index == subtask.index());
        let unchanged = operator.parallelism == subtask.parallelism();
        let own = own.filter(|_| unchanged);
        let (channels, in_flight) = if unchanged {
            let channels = own.map_or_else(Vec::new, |(_, state)| state.channels.clone());
            (channels, InFlightSelection::All)
        } else {
            let channels = states().flat_map(|state| state.channels.iter().cloned()).collect();
            let (max_parallelism, range) = (self.max_parallelism, key_groups);
            (channels, InFlightSelection::KeyGroups { max_parallelism, range })
        };
        let all_finished = operator.subtasks.len() == usize::from(operator.parallelism.get())
            && states().all(|state| state.finished);
        SubtaskRestore {
            keyed: mine.map(|handle| (handle.clone(), operator.registered.clone())).collect(),
            lists: lists(operator, subtask),
            channels,
            in_flight,
            registered: operator.registered.clone(),
            finished: all_finished || own.is_some_and(|(_, state)| state.finished),
        }
    }
}

fn lists(operator: &OperatorState, subtask: Subtask) -> Vec<RestoredList> {
    let deal = |(name, distribution, parts): ListParts<'_>| {
        deal(name, distribution, operator.parallelism, &parts, subtask)
    };
    by_name(operator).into_iter().map(deal).collect()
}

/// A list's name, its distribution, and its part in each subtask that has one.
type ListParts<'a> = (&'a Arc<str>, Distribution, Vec<(u16, &'a ListStateHandle)>);

// In the order in which the names first appear: the same on every machine.
fn by_name(operator: &OperatorState) -> Vec<ListParts<'_>> {
    let mut lists: Vec<ListParts<'_>> = Vec::new();
    for (index, state) in &operator.subtasks {
        for list in &state.lists {
            match lists.iter_mut().find(|(name, _, _)| **name == list.name) {
                Some((_, _, parts)) => parts.push((*index, list)),
                None => lists.push((&list.name, list.distribution, vec![(*index, list)])),
            }
        }
    }
    lists
}

fn has_state(operator: &OperatorState) -> bool {
    operator.subtasks.iter().any(|(_, state)| {
        !(state.keyed.is_empty() && state.lists.is_empty() && state.channels.is_empty())
            || state.finished
    })
}

fn check(
    operator: &OperatorState,
    task: &TaskTopology,
    max: MaxParallelism,
) -> Result<(), RestoreError> {
    let uid = || operator.uid.clone();
    if operator.max_parallelism != max {
        let checkpoint = operator.max_parallelism;
        return Err(RestoreError::MaxParallelism { operator: uid(), checkpoint, job: max });
    }
    for (name, first, parts) in by_name(operator) {
        if let Some((_, odd)) = parts.iter().find(|(_, part)| part.distribution != first) {
            let (state, other) = (Arc::clone(name), odd.distribution);
            return Err(RestoreError::MixedDistribution { operator: uid(), state, first, other });
        }
    }
    let mut channels = operator.subtasks.iter().flat_map(|(_, state)| &state.channels);
    if channels.clone().any(|channel| channel.kind != ChannelKind::Input) {
        return Err(RestoreError::QueuedOutput { operator: uid() });
    }
    let in_flight = channels.next().is_some() && !are_keyed(&operator.registered);
    if in_flight && operator.parallelism != task.parallelism {
        let (checkpoint, job) = (operator.parallelism, task.parallelism);
        return Err(RestoreError::InFlight { operator: uid(), checkpoint, job });
    }
    Ok(())
}
