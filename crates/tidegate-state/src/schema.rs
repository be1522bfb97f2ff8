//! What a state is registered as, and which restored states it takes on.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use tidegate_types::{InvalidKey, OperatorUid, RegisteredState, StateKey};

use crate::backend::Acceptance;
use crate::slot::Decode;
use crate::{StateError, StateValue};

/// Whose state it is and what it is registered as: what errors say of a table.
#[derive(Clone, Debug)]
pub(crate) struct Labels {
    pub(crate) operator: OperatorUid,
    pub(crate) registered: RegisteredState,
}

impl Labels {
    /// Whether a restored state is just the one that is registered.
    pub(crate) fn check(&self, found: &RegisteredState) -> Result<Acceptance, StateError> {
        let expected = &self.registered;
        let same = found.kind == expected.kind
            && found.fingerprint == expected.fingerprint
            && found.schema_version == expected.schema_version;
        if same {
            return Ok(Acceptance::AsIs);
        }
        Err(StateError::Incompatible {
            operator: self.operator.clone(),
            state: Arc::clone(&expected.name),
            found_kind: found.kind,
            found: Arc::clone(&found.types),
            found_version: found.schema_version,
            expected_kind: expected.kind,
            expected: Arc::clone(&expected.types),
            expected_version: expected.schema_version,
        })
    }

    pub(crate) fn key<K: StateKey>(&self, bytes: &[u8]) -> Result<K, StateError> {
        let mut rest = bytes;
        let key = K::decode_key(&mut rest).and_then(|key| match rest {
            [] => Ok(key),
            // They would be lost when the key is written again, and with them its key group.
            _ => Err(InvalidKey { expected: "single", length: bytes.len() }),
        });
        key.map_err(|source| StateError::Key {
            operator: self.operator.clone(),
            state: Arc::clone(&self.registered.name),
            source,
        })
    }

    /// Of bytes of this length that are no items of the registered type.
    pub(crate) fn value_error(&self, length: usize) -> StateError {
        StateError::Value {
            operator: self.operator.clone(),
            state: Arc::clone(&self.registered.name),
            length,
            types: (&*self.registered.types).into(),
        }
    }
}

/// How the values of an earlier version become those of today.
pub(crate) struct Migration<V> {
    pub(crate) from_version: u32,
    /// The name and the archived size of the earlier type: with them it has a fingerprint.
    pub(crate) value_type: String,
    pub(crate) archived_size: usize,
    pub(crate) decode: Rc<Decode<V>>,
}

impl<V> Migration<V> {
    pub(crate) fn new<Old: StateValue>(
        from_version: u32,
        migrate: impl Fn(Old) -> V + 'static,
    ) -> Self {
        Self {
            from_version,
            value_type: Old::type_name(),
            archived_size: Old::archived_size(),
            decode: Rc::new(move |bytes| Old::decode_value(bytes).map(&migrate)),
        }
    }
}

impl<V> Clone for Migration<V> {
    fn clone(&self) -> Self {
        let Self { from_version, value_type, archived_size, decode } = self;
        let (value_type, decode) = (value_type.clone(), Rc::clone(decode));
        Self { from_version: *from_version, value_type, archived_size: *archived_size, decode }
    }
}

impl<V> fmt::Debug for Migration<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migration")
            .field("from_version", &self.from_version)
            .field("value_type", &self.value_type)
            .finish_non_exhaustive()
    }
}

/// An earlier version of a state, as it was registered then, and how its values are read.
pub(crate) type Earlier<V> = (RegisteredState, Rc<Decode<V>>);

/// What a table reads: values as they are registered, or those that it migrates.
pub(crate) struct Schema<V> {
    pub(crate) labels: Labels,
    pub(crate) earlier: Vec<Earlier<V>>,
    /// For the values that are being restored.
    pub(crate) decode: Rc<Decode<V>>,
}

impl<V: StateValue> Schema<V> {
    pub(crate) fn new(labels: Labels, earlier: Vec<Earlier<V>>) -> Self {
        Self { labels, earlier, decode: Rc::new(V::decode_value) }
    }

    pub(crate) fn accept(&mut self, found: &RegisteredState) -> Result<Acceptance, StateError> {
        let refused = match self.labels.check(found) {
            Ok(acceptance) => return Ok(acceptance),
            Err(refused) => refused,
        };
        let is_found = |earlier: &RegisteredState| {
            earlier.kind == found.kind
                && earlier.fingerprint == found.fingerprint
                && earlier.schema_version == found.schema_version
        };
        let migration = self.earlier.iter().find(|(earlier, _)| is_found(earlier));
        let (_, decode) = migration.ok_or(refused)?;
        self.decode = Rc::clone(decode);
        Ok(Acceptance::Migrates)
    }
}
