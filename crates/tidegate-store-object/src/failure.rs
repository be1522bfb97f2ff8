//! What a client's error means: whether to try again, and what users are told.
//!
//! Users are told the status and the code of the server's answer and no more of it: addresses and
//! bodies can hold signatures and keys.

use std::error::Error as _;
use std::io::{self, ErrorKind};

use object_store::Error;
use object_store::client::{HttpError, HttpErrorKind};
use tidegate_store::{Determinacy, Operation, StorageError};
use tidegate_store_remote::{Cause, ErrorClass, GivenUp};

// How the client writes the status of an answer.
const STATUS: &str = "non-2xx status code: ";

pub(crate) fn class(error: &Error) -> ErrorClass {
    if let Some(status) = status(error) {
        return match status {
            // Refused before anything was done.
            408 | 429 | 503 => ErrorClass::Retryable,
            500..=599 => ErrorClass::MayHaveHappened,
            _ => ErrorClass::Permanent,
        };
    }
    match transport(error) {
        Some(HttpErrorKind::Connect) => ErrorClass::Retryable,
        Some(_) => ErrorClass::MayHaveHappened,
        None => match error {
            // An answer with an error in it after its status said success.
            Error::Generic { .. } => ErrorClass::MayHaveHappened,
            _ => ErrorClass::Permanent,
        },
    }
}

/// The error of a request that was given up.
pub(crate) fn given_up(
    operation: Operation,
    path: Box<str>,
    failure: &GivenUp<Error>,
) -> StorageError {
    let determinacy = match failure.may_have_happened {
        true => Determinacy::Indeterminate,
        false => Determinacy::Determinate,
    };
    let error = match &failure.cause {
        Cause::TimedOut => {
            let text = format!("no answer in time, {} attempts", failure.attempts);
            io::Error::new(ErrorKind::TimedOut, text)
        }
        Cause::Error(error) => described(error, failure.attempts),
    };
    StorageError::from_io(operation, path, determinacy, error)
}

/// The error of settings that make no client.
pub(crate) fn configuration(uri: &str, error: &Error) -> StorageError {
    let text = match error {
        // Such as "Missing bucket name"; they name settings, not values.
        Error::Generic { source, .. } if source.to_string().starts_with("Missing") => {
            format!("{source}: set it in the configuration or the environment")
        }
        _ => "the settings or credentials for it are not accepted".to_owned(),
    };
    let error = io::Error::new(ErrorKind::InvalidInput, text);
    StorageError::from_io(Operation::Read, uri, Determinacy::Determinate, error)
}

fn described(error: &Error, attempts: u32) -> io::Error {
    let kind = match (error, status(error), transport(error)) {
        (Error::NotFound { .. }, ..) => ErrorKind::NotFound,
        (Error::AlreadyExists { .. }, ..) => ErrorKind::AlreadyExists,
        (Error::PermissionDenied { .. } | Error::Unauthenticated { .. }, ..) => {
            ErrorKind::PermissionDenied
        }
        (_, Some(507), _) => ErrorKind::StorageFull,
        (_, _, Some(HttpErrorKind::Timeout)) => ErrorKind::TimedOut,
        (_, _, Some(HttpErrorKind::Connect)) => ErrorKind::ConnectionRefused,
        (_, _, Some(HttpErrorKind::Interrupted)) => ErrorKind::ConnectionReset,
        _ => ErrorKind::Other,
    };
    let what = match (status(error), code(error), transport(error)) {
        (Some(status), Some(code), _) => format!("the server answered {status} ({code})"),
        (Some(status), None, _) => format!("the server answered {status}"),
        (None, _, Some(HttpErrorKind::Connect)) => "the server cannot be reached".to_owned(),
        (None, _, Some(HttpErrorKind::Timeout)) => "no answer in time".to_owned(),
        (None, _, Some(HttpErrorKind::Interrupted)) => "the connection broke".to_owned(),
        (None, _, Some(_)) => "the answer did not arrive whole".to_owned(),
        (None, ..) => match error {
            Error::NotSupported { .. } | Error::NotImplemented { .. } => {
                "the store does not support it".to_owned()
            }
            Error::Unauthenticated { .. } => "there are no valid credentials".to_owned(),
            _ => "the server's answer was not understood".to_owned(),
        },
    };
    let tries = if attempts == 1 { String::new() } else { format!(", {attempts} attempts") };
    io::Error::new(kind, format!("{what}{tries}"))
}

fn transport(error: &Error) -> Option<HttpErrorKind> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(http) = error.downcast_ref::<HttpError>() {
            return Some(http.kind());
        }
        source = error.source();
    }
    None
}

// The client keeps the type with the status to itself.
fn status(error: &Error) -> Option<u16> {
    let mut source = error.source();
    while let Some(error) = source {
        let text = error.to_string();
        if let Some((_, rest)) = text.split_once(STATUS) {
            return rest.get(..3)?.parse().ok();
        }
        source = error.source();
    }
    None
}

/// The code of an answer's body, such as `SlowDown`: a word, so that it is no secret.
fn code(error: &Error) -> Option<String> {
    let text = error.to_string();
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let is_word = code.len() <= 40 && code.chars().all(|c| c.is_ascii_alphanumeric());
    is_word.then(|| code.to_owned())
}
