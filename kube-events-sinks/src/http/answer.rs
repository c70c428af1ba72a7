//! What an answer means.

use std::time::Duration;

use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use kube_events_core::SendError;
use reqwest::{Response, StatusCode, header};
use tokio::time::timeout;

use super::{Origin, auth::Secrets};

/// As much of an answer is read so that its connection can be used again.
const DRAIN_BYTES: usize = 64 * 1024;
/// For so long; after that the connection is given up.
const DRAIN_TIME: Duration = Duration::from_secs(1);
/// As much of an error's answer is looked at.
const EXCERPT_BYTES: usize = 4 * 1024;
/// As much of an error's answer is shown.
const EXCERPT_CHARS: usize = 200;

/// An answer other than 2xx.
#[derive(Debug, thiserror::Error)]
#[error("{origin} answered {status}{}{excerpt}", if excerpt.is_empty() { "" } else { ": " })]
struct Refused {
    origin: Origin,
    status: StatusCode,
    excerpt: String,
}

/// Reads an answer to its end, within bounds, and says what it means.
pub(super) async fn judge(
    origin: &Origin,
    mut response: Response,
    secrets: &Secrets,
) -> Result<(), SendError> {
    let (status, after) = (response.status(), retry_after(&response));
    let mut head = Vec::new();
    // An answer counts by its status, so one that breaks off, or does not end, is no error.
    drop(timeout(DRAIN_TIME, drain(&mut response, &mut head)).await);
    if status.is_success() {
        return Ok(());
    }
    let excerpt = excerpt(&secrets.hide(&String::from_utf8_lossy(&head)));
    let error = Refused { origin: origin.clone(), status, excerpt };
    Err(match (status, after) {
        (
            StatusCode::BAD_REQUEST
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNPROCESSABLE_ENTITY,
            _,
        ) => SendError::reject_all(error),
        (_, Some(after)) => SendError::retry_after(after, error),
        (_, None) => SendError::retry(error),
    })
}

/// Reads the body, and gives its beginning as far as it has come.
async fn drain(response: &mut Response, head: &mut Vec<u8>) {
    let mut read = 0;
    while read < DRAIN_BYTES
        && let Ok(Some(chunk)) = response.chunk().await
    {
        read += chunk.len();
        let room = EXCERPT_BYTES - head.len();
        head.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
}

/// One line of at most [`EXCERPT_CHARS`] characters.
fn excerpt(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(EXCERPT_CHARS).collect()
}

fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    wait(value, Timestamp::now())
}

/// Seconds, or a date (RFC 9110, 10.2.3).
fn wait(value: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTimeParser::new().parse_timestamp(value.trim()).ok()?;
    Some(Duration::try_from(date.duration_since(now)).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = "2026-11-06T08:49:07Z".parse().unwrap();
        for (value, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Fri, 06 Nov 2026 08:49:37 GMT", Some(30)),
            ("Fri, 06 Nov 2026 08:48:37 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(wait(value, now), expected.map(Duration::from_secs), "{value:?}");
        }
    }

    #[test]
    fn an_excerpt_is_one_short_line() {
        assert_eq!(excerpt("  a\r\n\tb\u{1b}[31mc "), "a b [31mc");
        assert_eq!(excerpt(&"é".repeat(500)).chars().count(), EXCERPT_CHARS);
    }
}
