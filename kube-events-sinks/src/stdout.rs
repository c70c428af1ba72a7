//! Standard output: one line an item.
//!
//! ```yaml
//! sinks:
//!   stdout:
//!     format: auto
//! ```
//!
//! `json` writes one compact object a line, as collectors of container logs take it; `human` a
//! sentence for people, in colours if standard output is a terminal and `NO_COLOR` is not set;
//! `auto`, the default, `human` on a terminal and `json` elsewhere.
//!
//! A batch is written with one call and flushed. A thread of its own does that, so a pipe that
//! nobody reads holds up this sink only. If standard output is closed (`EPIPE`) or full, the batch
//! can be tried again: what reads it may be replaced, and a program that should end then is ended
//! by its user.

use std::{
    env, fmt,
    io::{self, IsTerminal, Write},
    thread,
};

use async_trait::async_trait;
use bytes::BytesMut;
use kube_events_core::{Batch, SendError, Sink, crd::sinks::StdoutFormat};
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::{
    encode::{Encode, Encoding},
    human::Human,
};

/// Standard output, or whatever else can be written to.
pub struct Stdout {
    shape: Shape,
    jobs: mpsc::Sender<Job>,
    buffer: Mutex<BytesMut>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Json,
    Human { colour: bool },
}

/// Bytes to write, and whom to tell.
struct Job {
    bytes: BytesMut,
    done: oneshot::Sender<(io::Result<()>, BytesMut)>,
}

/// Standard output takes nothing.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("cannot write to standard output")]
    Io(#[from] io::Error),
    #[error("the writer of standard output has ended")]
    Gone,
}

// === impl Stdout ===

impl Stdout {
    /// Writes to standard output.
    ///
    /// # Errors
    /// If no thread could be started.
    pub fn new(format: StdoutFormat) -> io::Result<Self> {
        let terminal = io::stdout().is_terminal();
        Self::start(shape(format, terminal, terminal && wants_colour()), io::stdout())
    }

    /// Writes elsewhere, for tests and pipes; `auto` is `json` and nothing is coloured.
    ///
    /// # Errors
    /// If no thread could be started.
    pub fn to(format: StdoutFormat, writer: impl Write + Send + 'static) -> io::Result<Self> {
        Self::start(shape(format, false, false), writer)
    }

    fn start(shape: Shape, writer: impl Write + Send + 'static) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel(1);
        thread::Builder::new().name("stdout".into()).spawn(move || work(queue, writer))?;
        Ok(Self { shape, jobs, buffer: Mutex::default() })
    }

    fn encode<T: Encode + Human>(&self, items: &[T], out: &mut BytesMut) {
        match self.shape {
            Shape::Json => Encoding::default().lines(items, out),
            Shape::Human { colour } => items.iter().for_each(|item| item.write_human(colour, out)),
        }
    }

    async fn write(&self, bytes: BytesMut) -> Result<BytesMut, WriteError> {
        let (done, result) = oneshot::channel();
        self.jobs.send(Job { bytes, done }).await.map_err(|_| WriteError::Gone)?;
        let (result, bytes) = result.await.map_err(|_| WriteError::Gone)?;
        result?;
        Ok(bytes)
    }
}

#[async_trait]
impl<T: Encode + Human> Sink<T> for Stdout {
    async fn send(&self, batch: &Batch<T>) -> Result<(), SendError> {
        let mut buffer = self.buffer.lock().await;
        let mut bytes = std::mem::take(&mut *buffer);
        bytes.clear();
        self.encode(batch, &mut bytes);
        *buffer = self.write(bytes).await.map_err(SendError::retry)?;
        Ok(())
    }
}

impl fmt::Debug for Stdout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stdout").field("shape", &self.shape).finish_non_exhaustive()
    }
}

fn shape(format: StdoutFormat, terminal: bool, colour: bool) -> Shape {
    match format {
        StdoutFormat::Json => Shape::Json,
        StdoutFormat::Auto if !terminal => Shape::Json,
        StdoutFormat::Auto | StdoutFormat::Human => Shape::Human { colour },
    }
}

/// As <https://no-color.org> says.
fn wants_colour() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Writes until the sink is dropped. It may hang in a write, which nobody waits for at the end.
fn work(mut jobs: mpsc::Receiver<Job>, mut writer: impl Write) {
    let mut half_line = false;
    while let Some(Job { bytes, done }) = jobs.blocking_recv() {
        let result = write_lines(&mut writer, &bytes, &mut half_line);
        // Whoever sent it may have given up.
        drop(done.send((result, bytes)));
    }
}

/// After an error in the middle of a line the next batch begins on a new one.
fn write_lines(writer: &mut impl Write, bytes: &[u8], half_line: &mut bool) -> io::Result<()> {
    if *half_line {
        writer.write_all(b"\n")?;
        *half_line = false;
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        match writer.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                *half_line = rest[n - 1] != b'\n';
                rest = &rest[n..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    writer.flush()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex as StdMutex};

    use kube_events_core::{
        Alert, Event, Notification,
        contract::{Clause, Contract, Delivery, Sample},
    };

    use super::*;

    /// Memory that can be full.
    #[derive(Clone, Default)]
    struct Memory(Arc<StdMutex<(Vec<u8>, Option<usize>)>>);

    impl Memory {
        fn room(&self, room: Option<usize>) {
            self.0.lock().unwrap().1 = room;
        }

        fn lines(&self) -> Vec<serde_json::Value> {
            let inner = self.0.lock().unwrap();
            let lines = inner.0.split(|&byte| byte == b'\n');
            lines.filter_map(|line| serde_json::from_slice(line).ok()).collect()
        }
    }

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut inner = self.0.lock().unwrap();
            let n = bytes.len().min(inner.1.unwrap_or(usize::MAX));
            if n == 0 {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            inner.0.extend(&bytes[..n]);
            inner.1 = inner.1.map(|room| room - n);
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    async fn keeps_the_contract<T: Sample + Encode + Human>() {
        let contract = Contract::<T, _, _>::new(
            async || {
                let memory = Memory::default();
                (Stdout::to(StdoutFormat::Auto, memory.clone()).unwrap(), memory)
            },
            async |memory: &Memory| vec![Delivery::accepted(memory.lines())],
        );
        let contract = contract.failing(|memory| memory.room(Some(9)), |memory| memory.room(None));
        let report = contract.run().await;
        let skipped = [Clause::Refusal, Clause::Key];
        assert_eq!(report.skipped, skipped, "standard output refuses nothing and is given no keys");
    }

    #[tokio::test]
    async fn stdout_of_events_keeps_the_contract() {
        keeps_the_contract::<Event>().await;
    }

    #[tokio::test]
    async fn stdout_of_notifications_keeps_the_contract() {
        keeps_the_contract::<Notification>().await;
    }

    #[tokio::test]
    async fn stdout_of_alerts_keeps_the_contract() {
        keeps_the_contract::<Alert>().await;
    }

    #[tokio::test]
    async fn a_line_that_broke_off_stays_alone() {
        let memory = Memory::default();
        let sink = Stdout::to(StdoutFormat::Json, memory.clone()).unwrap();
        let batch = Batch::new(vec![Event::sample(1)]).unwrap();
        memory.room(Some(9));
        assert!(sink.send(&batch).await.unwrap_err().is_retry());
        memory.room(None);
        sink.send(&batch).await.unwrap();
        let text = String::from_utf8(memory.0.lock().unwrap().0.clone()).unwrap();
        let line = Event::sample(1).json().to_owned();
        assert_eq!(text, format!("{}\n{line}\n", &line[..9]));
    }

    #[test]
    fn a_terminal_gets_sentences_and_everything_else_json() {
        use StdoutFormat::{Auto, Human, Json};
        for (format, terminal, colour, expected) in [
            (Auto, false, false, Shape::Json),
            (Auto, true, true, Shape::Human { colour: true }),
            (Auto, true, false, Shape::Human { colour: false }),
            (Json, true, true, Shape::Json),
            (Human, false, false, Shape::Human { colour: false }),
        ] {
            assert_eq!(shape(format, terminal, colour), expected);
        }
    }
}
