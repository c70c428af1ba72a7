//! One request a batch.

use std::{
    io::Write,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};
use flate2::write::GzEncoder;
use kube_events_core::{Batch, SendError, Sink, crd::sinks::Compression};

use super::{Client, Target};
use crate::encode::{Encode, Encoding};

/// Posts each batch to one target, in one request. Without a time limit.
#[derive(Debug)]
pub(crate) struct Post {
    client: Arc<Client>,
    target: Target,
    body: Mutex<Body>,
}

/// Makes bodies of batches, in memory that is used again once a body was sent.
#[derive(Debug)]
pub(crate) struct Body {
    encoding: Encoding,
    compression: Compression,
    plain: BytesMut,
    packed: BytesMut,
}

// === impl Post ===

impl Post {
    pub(crate) fn new(client: Arc<Client>, target: Target, body: Body) -> Self {
        Self { client, target, body: Mutex::new(body) }
    }
}

#[async_trait]
impl<T: Encode> Sink<T> for Post {
    async fn send(&self, batch: &Batch<T>) -> Result<(), SendError> {
        let body = self.body.lock().unwrap_or_else(PoisonError::into_inner).of(batch);
        self.client.post(&self.target, body, &batch.idempotency_key()).await
    }
}

// === impl Body ===

impl Body {
    pub(crate) fn new(encoding: Encoding, compression: Compression) -> Self {
        Self { encoding, compression, plain: BytesMut::new(), packed: BytesMut::new() }
    }

    /// The body that holds these items, and whether it is gzip.
    fn of<T: Encode>(&mut self, items: &[T]) -> (Bytes, bool) {
        self.encoding.body(items, &mut self.plain);
        match self.compression {
            // What is split off is free again when the request is done, and `reserve` takes it.
            Compression::None => (self.plain.split().freeze(), false),
            Compression::Gzip => (self.pack(), true),
        }
    }

    fn pack(&mut self) -> Bytes {
        let mut encoder = GzEncoder::new((&mut self.packed).writer(), flate2::Compression::fast());
        encoder.write_all(&self.plain).expect("memory takes all bytes");
        encoder.finish().expect("memory takes all bytes");
        self.plain.clear();
        self.packed.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use kube_events_core::{Event, contract::Sample};

    use super::*;

    #[test]
    fn memory_is_used_again_once_a_body_was_sent() {
        let events: Vec<_> = (0..50).map(Event::sample).collect();
        let mut body = Body::new(Encoding::default(), Compression::None);
        let (first, _) = body.of(&events);
        let place = first.as_ptr();
        drop(first);
        for _ in 0..10 {
            let (again, _) = body.of(&events);
            assert_eq!(again.as_ptr(), place);
        }
    }
}
