//! A place in bytes from outside, moved on by what is taken.

use tidegate_types::OperatorUid;

use crate::StateError;

pub(super) struct Cursor<'a> {
    operator: &'a OperatorUid,
    bytes: &'a [u8],
    taken: usize,
    /// Where `bytes` begins, for errors.
    start: u64,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(operator: &'a OperatorUid, bytes: &'a [u8], start: u64) -> Self {
        Self { operator, bytes, taken: 0, start }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.taken == self.bytes.len()
    }

    pub(super) fn malformed(&self, expected: &'static str, found: u64) -> StateError {
        malformed(self.operator, self.start + self.taken as u64, expected, found)
    }

    pub(super) fn take(
        &mut self,
        length: usize,
        expected: &'static str,
    ) -> Result<&'a [u8], StateError> {
        let rest = &self.bytes[self.taken..];
        let taken = rest.get(..length).ok_or_else(|| self.malformed(expected, length as u64))?;
        self.taken += length;
        Ok(taken)
    }

    pub(super) fn u8(&mut self, expected: &'static str) -> Result<u8, StateError> {
        self.number(expected).map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self, expected: &'static str) -> Result<u16, StateError> {
        self.number(expected).map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self, expected: &'static str) -> Result<u32, StateError> {
        self.number(expected).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, expected: &'static str) -> Result<u64, StateError> {
        self.number(expected).map(u64::from_le_bytes)
    }

    /// Bytes with their length in front.
    pub(super) fn bytes(&mut self, expected: &'static str) -> Result<&'a [u8], StateError> {
        let length = self.u32(expected)?;
        self.take(length as usize, expected)
    }

    pub(super) fn text(&mut self, expected: &'static str) -> Result<&'a str, StateError> {
        let bytes = self.bytes(expected)?;
        std::str::from_utf8(bytes)
            .map_err(|error| self.malformed("UTF-8", error.valid_up_to() as u64))
    }

    fn number<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], StateError> {
        Ok(self.take(N, expected)?.try_into().expect("as long as was taken"))
    }
}

pub(super) fn malformed(
    operator: &OperatorUid,
    offset: u64,
    expected: &'static str,
    found: u64,
) -> StateError {
    StateError::Malformed { operator: operator.clone(), offset, expected, found }
}
