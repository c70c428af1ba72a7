//! Events from lines of JSON: standard input, files, replays.

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{
    MAX_LINE, Observed, SourceError, Undecodable,
    lines::{Line, Lines, too_long},
};
use crate::event::Decoder;

const CHUNK: usize = 64 << 10;

struct Reader<R> {
    input: R,
    chunk: BytesMut,
    lines: Lines,
    number: u64,
    done: bool,
}

/// Reads one Event a line: of either API, flat or wrapped as `{"Event": …, "cluster": …}`.
///
/// Blank lines are passed over. A line that is not an Event, or is longer than [`MAX_LINE`], is
/// given as [`Observed::Undecodable`] with its number. The stream ends with the input, or after an
/// error in reading it; as lines have no common history, it gives no [`Observed::Progress`].
///
/// ```
/// use futures::StreamExt;
/// use kube_events_core::source::{Observed, ndjson};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let input = &b"{\"reason\":\"BackOff\"}\n\noops\n"[..];
/// let observed: Vec<_> = ndjson::events(input).collect().await;
/// assert!(matches!(&observed[0], Ok(Observed::Event(event)) if event.reason() == "BackOff"));
/// assert!(matches!(&observed[1], Ok(Observed::Undecodable(bad)) if bad.line == Some(3)));
/// # }
/// ```
pub fn events<R>(reader: R) -> impl Stream<Item = Result<Observed, SourceError>> + Send + use<R>
where
    R: AsyncRead + Send + Unpin,
{
    let reader = Reader {
        input: reader,
        chunk: BytesMut::new(),
        lines: Lines::new(MAX_LINE),
        number: 0,
        done: false,
    };
    stream::unfold(reader, |mut reader| async {
        if reader.done {
            return None;
        }
        let observed = reader.read().await;
        Some((stream::iter(observed), reader))
    })
    .flatten()
}

// === impl Reader ===

impl<R: AsyncRead + Unpin> Reader<R> {
    /// What the next chunk holds.
    async fn read(&mut self) -> Vec<Result<Observed, SourceError>> {
        self.chunk.clear();
        self.chunk.reserve(CHUNK);
        let read = self.input.read_buf(&mut self.chunk).await;
        self.lines.push(&self.chunk);
        let mut observed = Vec::new();
        while let Some(line) = self.lines.next() {
            observed.extend(self.decode(line).map(Ok));
        }
        if !matches!(read, Ok(1..)) {
            self.done = true;
            let rest = self.lines.rest();
            observed.extend(rest.and_then(|line| self.decode(line)).map(Ok));
            observed.extend(read.err().map(|error| Err(error.into())));
        }
        observed
    }

    fn decode(&mut self, line: Line) -> Option<Observed> {
        self.number += 1;
        let (bytes, error) = match line {
            Line::Whole(line) if line.trim_ascii().is_empty() => return None,
            Line::Whole(line) => match Decoder::default().decode(&line) {
                Ok(event) => return Some(Observed::Event(event)),
                Err(error) => (line, error),
            },
            Line::TooLong(start) => (start, too_long(MAX_LINE)),
        };
        // The line may share its memory with a whole chunk.
        let bytes = Bytes::copy_from_slice(&bytes);
        Some(Observed::Undecodable(Undecodable { bytes, line: Some(self.number), error }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(input: impl AsyncRead + Send + Unpin) -> Vec<Observed> {
        events(input).map(Result::unwrap).collect().await
    }

    #[tokio::test]
    async fn every_form_of_an_event_is_read() {
        let input = concat!(
            r#"{"involvedObject":{"name":"a"},"message":"core"}"#,
            "\r\n \n",
            r#"{"regarding":{"name":"a"},"note":"events"}"#,
            "\n",
            r#"{"Event":{"message":"wrapped"},"cluster":"north"}"#,
        );
        let observed = read(input.as_bytes()).await;
        let messages: Vec<_> = observed
            .iter()
            .map(|observed| match observed {
                Observed::Event(event) => (event.message(), event.cluster()),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(messages, [("core", None), ("events", None), ("wrapped", Some("north"))]);
    }

    #[tokio::test]
    async fn a_bad_line_is_told_with_its_bytes_and_its_number() {
        let observed = read(&b"{}\n\n{\"reason\":\"\xff\"}\n{}\n"[..]).await;
        assert_eq!(observed.len(), 3);
        let Observed::Undecodable(bad) = &observed[1] else { panic!("{observed:?}") };
        assert_eq!((&*bad.bytes, bad.line), (&b"{\"reason\":\"\xff\"}"[..], Some(3)));
        assert_eq!(bad.error.column, 12);
    }

    #[tokio::test]
    async fn lines_that_arrive_in_pieces_are_whole() {
        let input = pieces_of(&["{\"reason\":\"A\"}\n{\"rea", "son\":\"", "B\"}"]);
        let reasons: Vec<_> = read(input)
            .await
            .into_iter()
            .filter_map(|observed| match observed {
                Observed::Event(event) => Some(event.reason().to_owned()),
                _ => None,
            })
            .collect();
        assert_eq!(reasons, ["A", "B"]);
    }

    #[tokio::test]
    async fn an_error_in_reading_is_told_and_is_the_end() {
        let input = (&b"{}\n"[..]).chain(Broken);
        let observed: Vec<_> = events(input).collect().await;
        assert!(matches!(&observed[..], [Ok(Observed::Event(_)), Err(SourceError::Read(_))]));
    }

    fn pieces_of(pieces: &[&'static str]) -> impl AsyncRead + Send + Unpin + use<> {
        let mut reader: Box<dyn AsyncRead + Send + Unpin> = Box::new(tokio::io::empty());
        for piece in pieces.iter().rev() {
            reader = Box::new(piece.as_bytes().chain(reader));
        }
        reader
    }

    struct Broken;

    impl AsyncRead for Broken {
        fn poll_read(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::task::Poll::Ready(Err(std::io::Error::other("gone")))
        }
    }
}
