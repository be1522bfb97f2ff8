//! Lines as they are.

use std::path::Path;

use super::{FileFormat, LineParser};
use crate::ConnectError;

/// Every line is a record. What is not UTF-8 is replaced by U+FFFD.
#[derive(Clone, Copy, Debug, Default)]
pub struct LineFormat;

impl FileFormat for LineFormat {
    type Record = String;

    fn parser(&self, _file: &Path, _limit: usize) -> Result<LineParser<String>, ConnectError> {
        Ok(Box::new(|line, _| Ok(Some(String::from_utf8_lossy(line).into_owned()))))
    }
}
