//! The stateless operators: map, filter, flat_map, timestamps and print.

use std::fmt::Display;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use crate::error::TaskError;
use crate::push::{Lifecycle, Push};
use crate::record::{LAST_WATERMARK, Record};

/// Takes what a `flat_map` makes of a record.
pub struct Emitter<'a, U> {
    down: &'a mut dyn Push<U>,
    timestamp: i64,
    result: Result<(), TaskError>,
}

impl<'a, U> Emitter<'a, U> {
    pub(crate) fn new(down: &'a mut dyn Push<U>, timestamp: i64) -> Self {
        Self { down, timestamp, result: Ok(()) }
    }

    /// Passes a value to the next operator.
    pub fn emit(&mut self, value: U) {
        // After a failure the task ends with it; what the function still emits goes nowhere.
        if self.result.is_ok() {
            self.result = self.down.push(Record { value, timestamp: self.timestamp });
        }
    }

    pub(crate) fn finish(self) -> Result<(), TaskError> {
        self.result
    }
}

macro_rules! forwards_lifecycle {
    ($name:ident<$($generic:ident),+>) => {
        impl<$($generic),+> Lifecycle for $name<$($generic),+> {
            fn downstream(&mut self) -> Option<&mut dyn Lifecycle> {
                Some(&mut *self.down)
            }
        }
    };
}

pub(crate) struct Map<F, U> {
    pub(crate) function: Arc<F>,
    pub(crate) down: Box<dyn Push<U>>,
}
forwards_lifecycle!(Map<F, U>);

impl<T, U, F: Fn(T) -> U> Push<T> for Map<F, U> {
    fn push(&mut self, record: Record<T>) -> Result<(), TaskError> {
        let value = (self.function)(record.value);
        self.down.push(Record { value, timestamp: record.timestamp })
    }
}

pub(crate) struct Filter<F, T> {
    pub(crate) predicate: Arc<F>,
    pub(crate) down: Box<dyn Push<T>>,
}
forwards_lifecycle!(Filter<F, T>);

impl<T, F: Fn(&T) -> bool> Push<T> for Filter<F, T> {
    fn push(&mut self, record: Record<T>) -> Result<(), TaskError> {
        if (self.predicate)(&record.value) { self.down.push(record) } else { Ok(()) }
    }
}

pub(crate) struct FlatMap<F, U> {
    pub(crate) function: Arc<F>,
    pub(crate) down: Box<dyn Push<U>>,
}
forwards_lifecycle!(FlatMap<F, U>);

impl<T, U, F: Fn(T, &mut Emitter<'_, U>)> Push<T> for FlatMap<F, U> {
    fn push(&mut self, record: Record<T>) -> Result<(), TaskError> {
        let mut emitter = Emitter::new(&mut *self.down, record.timestamp);
        (self.function)(record.value, &mut emitter);
        emitter.finish()
    }
}

/// Gives records their event time and emits watermarks that trail the newest one.
pub(crate) struct AssignTimestamps<F, T> {
    pub(crate) timestamp_of: Arc<F>,
    pub(crate) out_of_orderness_ms: i64,
    pub(crate) newest: Option<i64>,
    pub(crate) emitted: Option<i64>,
    pub(crate) down: Box<dyn Push<T>>,
}

impl<F, T> Lifecycle for AssignTimestamps<F, T> {
    fn downstream(&mut self) -> Option<&mut dyn Lifecycle> {
        Some(&mut *self.down)
    }

    fn watermark(&mut self, watermark: i64) -> Result<(), TaskError> {
        // The source knows nothing of our time, but it does know when nothing comes any more.
        if watermark == LAST_WATERMARK { self.down.watermark(watermark) } else { Ok(()) }
    }

    fn flush(&mut self, now: Instant, idle: bool) -> Result<(), TaskError> {
        // One below, since a record with the same time as the newest may still come.
        let watermark = self.newest.map(|t| t.saturating_sub(self.out_of_orderness_ms + 1));
        if watermark > self.emitted {
            self.emitted = watermark;
            self.down.watermark(watermark.expect("above something"))?;
        }
        self.down.flush(now, idle)
    }
}

impl<T, F: Fn(&T) -> i64> Push<T> for AssignTimestamps<F, T> {
    fn push(&mut self, record: Record<T>) -> Result<(), TaskError> {
        let timestamp = (self.timestamp_of)(&record.value);
        self.newest = self.newest.max(Some(timestamp));
        self.down.push(Record { value: record.value, timestamp })
    }
}

/// Writes every record as a line to standard output. What was printed cannot be taken back: after
/// a failure the lines since the last checkpoint are printed again.
pub(crate) struct Print;

impl Lifecycle for Print {
    fn downstream(&mut self) -> Option<&mut dyn Lifecycle> {
        None
    }
}

impl<T: Display> Push<T> for Print {
    fn push(&mut self, record: Record<T>) -> Result<(), TaskError> {
        writeln!(std::io::stdout().lock(), "{}", record.value)
            .map_err(|source| TaskError::StandardOutput { source })
    }
}
