//! Errors in words.

use std::error::Error;

/// An error and what caused it, on one line: what a log or a status says of it.
///
/// ```
/// use std::io;
///
/// use kube_events_core::{SendError, error::chain};
///
/// let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
/// let error = SendError::retry(refused);
/// assert_eq!(chain(&error), format!("{error}: connection refused"));
/// ```
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
