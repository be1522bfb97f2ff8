//! The canonical form as rows of a store.

use tidegate_types::{KeyGroup, RegisteredState, StateKind};

use super::{RowWriter, rows};
use crate::slot::ItemReader;
use crate::{CanonicalReader, KeyedContext, StateError};

/// Shows what canonical state holds of one of the subtask's states, as rows; those of a key group
/// together, otherwise in no order.
///
/// # Errors
///
/// [`StateError::Value`] when an entry is none of the state's kind or of another key group.
pub fn import_rows(
    context: &KeyedContext,
    state: &RegisteredState,
    readers: &[CanonicalReader],
    put: &mut RowWriter<'_>,
) -> Result<(), StateError> {
    for group in context.key_groups.iter() {
        let holders = readers.iter().filter(|reader| reader.key_groups().contains(group));
        for (reader, number) in holders.filter_map(|r| Some((r, r.state(&state.name)?))) {
            import_group(context, state, (group, reader, number), put)?;
        }
    }
    Ok(())
}

fn import_group(
    context: &KeyedContext,
    state: &RegisteredState,
    (group, reader, number): (KeyGroup, &CanonicalReader, usize),
    put: &mut RowWriter<'_>,
) -> Result<(), StateError> {
    let mut row = Vec::new();
    reader.read(group, number, &mut |entry| {
        let malformed = || StateError::Value {
            operator: context.operator.clone(),
            state: state.name.clone(),
            length: entry.items.len(),
            types: (&*state.types).into(),
        };
        if context.max_parallelism.key_group_of(entry.hash) != group {
            return Err(malformed());
        }
        let mut items = ItemReader::new(entry.items, entry.count).ok_or_else(malformed)?;
        let whole = |out: &mut Vec<u8>| {
            out.clear();
            rows::whole(group, entry.hash, |out| out.extend_from_slice(entry.key), out);
        };
        match state.kind {
            StateKind::Timer => {
                for item in items {
                    let time = item.try_into().map_err(|_| malformed())?;
                    row.clear();
                    rows::timer(group, i64::from_le_bytes(time), entry.key, &mut row);
                    put(&row, &[])?;
                }
            }
            StateKind::Map => {
                row.clear();
                rows::map(group, entry.hash, entry.key, &mut row);
                let prefix = row.len();
                while let Some(map_key) = items.next() {
                    row.truncate(prefix);
                    row.extend_from_slice(map_key);
                    put(&row, items.next().ok_or_else(malformed)?)?;
                }
            }
            StateKind::List => {
                whole(&mut row);
                put(&row, entry.items)?;
            }
            _ => {
                whole(&mut row);
                put(&row, items.next().ok_or_else(malformed)?)?;
            }
        }
        Ok(())
    })
}
