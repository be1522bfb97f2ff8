//! What a sound payload must say, checked in place and without allocating.
//!
//! After this, conversion cannot fail: `convert` expects each thing that is checked here.

use std::fmt::Debug;

use tidegate_types::{
    CheckpointId, Digest, FileReference, InvalidReference, MaxParallelism, OperatorUid, Parallelism,
};

use crate::MetadataError;
use crate::v1::{
    ArchivedAcknowledgement, ArchivedHandle, ArchivedMetadata, ArchivedOperator,
    ArchivedRegistered, ArchivedSubtask,
};

const TEXT: &str = "UTF-8 text is accepted";

pub(crate) fn metadata(metadata: &ArchivedMetadata) -> Result<(), MetadataError> {
    let check = Check { operator: "" };
    check.text("job_name", &metadata.job_name)?;
    let checkpoint = metadata.checkpoint.to_native();
    check.that(CheckpointId::new(checkpoint).is_some(), "checkpoint", &0, "1 or more")?;
    check.tag("kind", metadata.kind, 3)?;
    // Uids are few beside subtasks; sorting references to them is all the memory this takes.
    let mut uids: Vec<&[u8]> = metadata.operators.iter().map(|o| o.uid.as_slice()).collect();
    uids.sort_unstable();
    if let Some(twice) = uids.windows(2).find(|pair| pair[0] == pair[1]) {
        let uid = String::from_utf8_lossy(twice[0]);
        return check.that(false, "operator.uid", &uid, "each uid once is accepted");
    }
    metadata.operators.iter().try_for_each(operator)
}

pub(crate) fn acknowledgement(wire: &ArchivedAcknowledgement) -> Result<(), MetadataError> {
    for operator in wire.operators.iter() {
        let check = Check { operator: uid(&operator.uid)? };
        operator.registered.iter().try_for_each(|registered| check.registered(registered))?;
        // Who acknowledges is said beside these bytes. What is reserved stays zero.
        let index = operator.state.index.to_native();
        check.that(index == 0, "subtask.index", &index, "0 in an acknowledgement")?;
        check.state(&operator.state, MaxParallelism::LIMIT)?;
    }
    Ok(())
}

fn uid(bytes: &[u8]) -> Result<&str, MetadataError> {
    let check = Check { operator: "" };
    let uid = check.text("operator.uid", bytes)?;
    let fits = OperatorUid::new(uid).is_ok();
    check.that(fits, "operator.uid", &uid, "1 to 255 bytes without control characters")?;
    Ok(uid)
}

fn operator(operator: &ArchivedOperator) -> Result<(), MetadataError> {
    let check = Check { operator: uid(&operator.uid)? };
    let (parallelism, max) =
        (operator.parallelism.to_native(), operator.max_parallelism.to_native());
    let fits = MaxParallelism::new(max).is_some();
    check.that(fits, "max_parallelism", &max, "1 to 32,768 is accepted")?;
    let fits = Parallelism::new(parallelism).is_some_and(|p| p.get() <= max);
    check.that(fits, "parallelism", &parallelism, "1 to max_parallelism is accepted")?;
    operator.registered.iter().try_for_each(|registered| check.registered(registered))?;
    let mut least = 0;
    for subtask in operator.subtasks.iter() {
        let index = subtask.index.to_native();
        let fits = (least..parallelism).contains(&index);
        check.that(fits, "subtask.index", &index, "ascending and below the parallelism")?;
        least = index + 1;
        check.state(subtask, max)?;
    }
    Ok(())
}

struct Check<'a> {
    operator: &'a str,
}

impl Check<'_> {
    fn that(
        &self,
        fits: bool,
        field: &'static str,
        found: &dyn Debug,
        accepted: &'static str,
    ) -> Result<(), MetadataError> {
        if fits {
            return Ok(());
        }
        // Cut, so that a hostile text does not become a hostile message.
        let found: String = format!("{found:?}").chars().take(200).collect();
        Err(MetadataError::Value {
            operator: self.operator.into(),
            field,
            found: found.into(),
            accepted,
        })
    }

    fn tag(&self, field: &'static str, found: u8, last: u8) -> Result<(), MetadataError> {
        let accepted = "a tag of docs/format.md is accepted; a newer release may have written it";
        self.that((1..=last).contains(&found), field, &found, accepted)
    }

    fn text<'a>(&self, field: &'static str, bytes: &'a [u8]) -> Result<&'a str, MetadataError> {
        let text = std::str::from_utf8(bytes);
        self.that(text.is_ok(), field, &String::from_utf8_lossy(bytes), TEXT)?;
        Ok(text.unwrap_or_default())
    }

    fn registered(&self, registered: &ArchivedRegistered) -> Result<(), MetadataError> {
        self.text("state.name", &registered.name)?;
        self.text("state.types", &registered.types)?;
        self.tag("state.kind", registered.kind, 7)
    }

    fn state(&self, state: &ArchivedSubtask, max: u16) -> Result<(), MetadataError> {
        self.tag("subtask.progress", state.progress, 2)?;
        for keyed in state.keyed.iter() {
            self.tag("keyed.backend", keyed.backend, 3)?;
            let range = (keyed.first_key_group.to_native(), keyed.last_key_group.to_native());
            let fits = range.0 <= range.1 && range.1 < max;
            self.that(fits, "keyed.key_groups", &range, "first <= last < max_parallelism")?;
            self.handle("keyed.manifest", &keyed.manifest)?;
            for shared in keyed.shared.iter() {
                self.text("shared.name", &shared.name)?;
                self.that(shared.file.place != 1, "shared.file.place", &1, "a file is accepted")?;
                self.handle("shared.file", &shared.file)?;
            }
        }
        for list in state.lists.iter() {
            self.text("list.name", &list.name)?;
            self.tag("list.distribution", list.distribution, 3)?;
            self.handle("list.items", &list.items)?;
            self.lengths("list.item_lengths", &list.item_lengths, &list.items)?;
        }
        for channel in state.channels.iter() {
            self.tag("channel.kind", channel.kind, 2)?;
            self.handle("channel.records", &channel.records)?;
            self.lengths("channel.record_lengths", &channel.record_lengths, &channel.records)?;
        }
        Ok(())
    }

    fn lengths(
        &self,
        field: &'static str,
        lengths: &[rkyv::rend::unaligned::u32_ule],
        handle: &ArchivedHandle,
    ) -> Result<(), MetadataError> {
        let sum: u64 = lengths.iter().map(|length| u64::from(length.to_native())).sum();
        self.that(sum == handle.length.to_native(), field, &sum, "the sum is the state's length")
    }

    fn handle(&self, field: &'static str, handle: &ArchivedHandle) -> Result<(), MetadataError> {
        self.tag(field, handle.place, 4)?;
        if handle.place == 1 {
            let (length, digest) = (handle.content.len() as u64, Digest::of(&handle.content));
            let sound = length == handle.length.to_native() && digest.to_bytes() == handle.digest;
            return self.that(sound, field, &digest, "length and digest of the inline state");
        }
        let text = self.text(field, &handle.content)?;
        let accepted = "plain names joined by '/', or an absolute URI, up to 1,024 bytes";
        self.that(reference(handle.place, text).is_ok(), field, &text, accepted)
    }
}

/// The reference of a file by its place tag (2, 3 or 4).
pub(crate) fn reference(place: u8, text: &str) -> Result<FileReference, InvalidReference> {
    match place {
        2 => FileReference::in_checkpoint(text),
        3 => FileReference::in_job(text),
        _ => FileReference::absolute(text),
    }
}
