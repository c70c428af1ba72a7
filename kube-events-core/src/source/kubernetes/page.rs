//! A page of a list, decoded while it arrives.

use bytes::Bytes;
use memchr::memchr;
use serde::Deserialize;

use super::extent::Extent;
use crate::{
    Event,
    event::Decoder,
    source::{
        Undecodable,
        lines::{beginning, too_long},
    },
};

/// Reads `{"metadata": {…}, "items": [{…}, …]}` in whatever order the members stand, and holds no
/// more of it than the item that is arriving.
#[derive(Debug)]
pub(super) struct Page {
    buffer: Vec<u8>,
    /// What has been read of the buffer.
    at: usize,
    place: Place,
    limit: usize,
    metadata: Metadata,
}

/// `ListMeta`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(super) struct Metadata {
    #[serde(default, rename = "resourceVersion")]
    pub(super) resource_version: String,
    #[serde(default, rename = "continue")]
    pub(super) token: String,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// Before the list.
    Outside,
    /// Before a member of it, or its end.
    Member,
    /// Before an item, or the end of the items.
    Item,
    /// In an item of which not all is there, or that cannot be decoded.
    Incomplete(Extent),
    /// In an item that is too long; what has come of it is dropped.
    Skipped(Extent),
    /// Behind the list.
    Done,
}

/// What a step came to.
type Step = Result<Option<Place>, String>;

// === impl Page ===

impl Page {
    /// A page whose items may have `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            buffer: Vec::new(),
            at: 0,
            place: Place::Outside,
            limit,
            metadata: Metadata::default(),
        }
    }

    /// Takes what has arrived, and gives the items that are complete.
    pub(super) fn push(
        &mut self,
        chunk: &[u8],
        decoder: &Decoder,
        mut give: impl FnMut(Result<Event, Undecodable>),
    ) -> Result<(), String> {
        self.buffer.extend_from_slice(chunk);
        // The text is checked once a chunk. What stands behind a byte that is not UTF-8 is decoded
        // item by item.
        let buffer = std::mem::take(&mut self.buffer);
        let text = str::from_utf8(&buffer).unwrap_or_else(|_| valid(&buffer));
        while let Some(place) = self.step(&buffer, text, decoder, &mut give)? {
            self.place = place;
        }
        self.buffer = buffer;
        self.buffer.drain(..self.at);
        self.at = 0;
        Ok(())
    }

    /// What the list says about itself; an error if it has not ended.
    pub(super) fn finish(self) -> Result<Metadata, String> {
        match self.place {
            Place::Done if self.metadata.resource_version.is_empty() => {
                Err("a list without a resourceVersion".into())
            }
            Place::Done => Ok(self.metadata),
            _ => Err("the list is cut off".into()),
        }
    }

    /// The next place; `None` if more has to arrive first.
    fn step(
        &mut self,
        buffer: &[u8],
        text: &str,
        decoder: &Decoder,
        give: &mut impl FnMut(Result<Event, Undecodable>),
    ) -> Step {
        match self.place {
            Place::Outside => self.open(buffer),
            Place::Member => self.member(buffer),
            Place::Item => self.item(buffer, text, decoder, give),
            Place::Incomplete(extent) => Ok(self.incomplete(extent, buffer, decoder, give)),
            Place::Skipped(extent) => Ok(self.skipped(extent, buffer)),
            Place::Done => self.end(buffer),
        }
    }

    fn open(&mut self, buffer: &[u8]) -> Step {
        match self.peek(buffer, b"") {
            Some(b'{') => Ok(Some(self.take(Place::Member))),
            Some(_) => Err(format!("not a list: {}", excerpt(&buffer[self.at..]))),
            None => Ok(None),
        }
    }

    fn member(&mut self, buffer: &[u8]) -> Step {
        match self.peek(buffer, b",") {
            Some(b'}') => return Ok(Some(self.take(Place::Done))),
            Some(b'"') => {}
            Some(_) => return Err(format!("not a list: {}", excerpt(&buffer[self.at..]))),
            None => return Ok(None),
        }
        let Some((name, value)) = name(&buffer[self.at..]) else { return self.patient(buffer) };
        let start = self.at + value;
        if name == b"items" && buffer[start] == b'[' {
            self.at = start + 1;
            return Ok(Some(Place::Item));
        }
        let Some(length) = Extent::default().advance(&buffer[start..]) else {
            return self.patient(buffer);
        };
        if name == b"metadata" {
            self.metadata = serde_json::from_slice(&buffer[start..start + length])
                .map_err(|error| format!("the list's metadata: {error}"))?;
        }
        self.at = start + length;
        Ok(Some(Place::Member))
    }

    fn item(
        &mut self,
        buffer: &[u8],
        text: &str,
        decoder: &Decoder,
        give: &mut impl FnMut(Result<Event, Undecodable>),
    ) -> Step {
        match self.peek(buffer, b",") {
            Some(b']') => return Ok(Some(self.take(Place::Member))),
            Some(b'}') => return Err("the list's items end with the wrong bracket".into()),
            Some(_) => {}
            None => return Ok(None),
        }
        match decoder.decode_prefix(text.get(self.at..).unwrap_or_default()) {
            Ok((event, length)) if length <= self.limit => {
                self.at += length;
                give(Ok(event));
                Ok(Some(Place::Item))
            }
            _ => Ok(Some(Place::Incomplete(Extent::default()))),
        }
    }

    fn incomplete(
        &mut self,
        mut extent: Extent,
        buffer: &[u8],
        decoder: &Decoder,
        give: &mut impl FnMut(Result<Event, Undecodable>),
    ) -> Option<Place> {
        let item = &buffer[self.at..];
        if let Some(length) = extent.advance(item) {
            self.at += length;
            give(self.decode(&item[..length], decoder));
            return Some(Place::Item);
        }
        if item.len() <= self.limit {
            self.place = Place::Incomplete(extent);
            return None;
        }
        give(self.decode(item, decoder));
        self.drop_all(extent, buffer)
    }

    fn skipped(&mut self, mut extent: Extent, buffer: &[u8]) -> Option<Place> {
        match extent.advance(&buffer[self.at..]) {
            Some(length) => {
                self.at += length;
                Some(Place::Item)
            }
            None => self.drop_all(extent, buffer),
        }
    }

    fn decode(&self, item: &[u8], decoder: &Decoder) -> Result<Event, Undecodable> {
        let bad = |bytes, error| Undecodable { bytes, line: None, error };
        if item.len() > self.limit {
            return Err(bad(beginning(item), too_long(self.limit)));
        }
        decoder.decode(item).map_err(|error| bad(Bytes::copy_from_slice(item), error))
    }

    fn drop_all(&mut self, mut extent: Extent, buffer: &[u8]) -> Option<Place> {
        extent.forget();
        self.at = buffer.len();
        self.place = Place::Skipped(extent);
        None
    }

    fn end(&mut self, buffer: &[u8]) -> Step {
        self.peek(buffer, b"").map_or(Ok(None), |_| Err("text after the end of the list".into()))
    }

    /// The next byte that is neither blank nor one of `and`.
    fn peek(&mut self, buffer: &[u8], and: &[u8]) -> Option<u8> {
        let passed = |byte: &u8| byte.is_ascii_whitespace() || and.contains(byte);
        self.at += buffer[self.at..].iter().take_while(|byte| passed(byte)).count();
        buffer.get(self.at).copied()
    }

    fn take(&mut self, place: Place) -> Place {
        self.at += 1;
        place
    }

    /// Waits for more, within bounds.
    fn patient(&self, buffer: &[u8]) -> Step {
        match buffer.len() - self.at {
            length if length > self.limit => Err("the list has a member that is too long".into()),
            _ => Ok(None),
        }
    }
}

/// A member's name, and where the first byte of its value is.
fn name(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let name = &bytes[1..];
    let end = memchr(b'"', name)?;
    let between = |byte: &&u8| byte.is_ascii_whitespace() || **byte == b':';
    let value = end + 2 + name[end + 1..].iter().take_while(between).count();
    (value < bytes.len()).then(|| (&name[..end], value))
}

/// What stands before the first byte that is not UTF-8.
fn valid(bytes: &[u8]) -> &str {
    bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}

fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(120)]).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::Api;

    type Read = (Vec<Result<String, Vec<u8>>>, Result<Metadata, String>);

    fn read(text: &[u8], size: usize) -> Read {
        let mut items = Vec::new();
        let mut page = Page::new(200);
        let decoder = Decoder::new(Api::CoreV1);
        for chunk in text.chunks(size) {
            let pushed = page.push(chunk, &decoder, |item| {
                items.push(
                    item.map(|event| event.name().to_owned()).map_err(|bad| bad.bytes.to_vec()),
                );
            });
            if let Err(error) = pushed {
                return (items, Err(error));
            }
        }
        (items, page.finish())
    }

    fn metadata(version: &str, token: &str) -> Metadata {
        Metadata { resource_version: version.into(), token: token.into() }
    }

    #[test]
    fn a_page_is_read_whatever_its_chunks_and_the_order_of_its_members() {
        for text in [
            r#"{"kind":"EventList","apiVersion":"v1","metadata":{"resourceVersion":"7","continue":"t"},"items":[{"metadata":{"name":"ä"}},{"metadata":{"name":"b"}}]}"#,
            "{ \"items\" : [ {\"metadata\":{\"name\":\"ä\"}} ,\n{\"metadata\":{\"name\":\"b\"}} ] , \"x\":[1,\"]\"], \"metadata\": {\"continue\":\"t\", \"resourceVersion\":\"7\"} }\n",
        ] {
            for size in 1..=text.len() {
                let (items, end) = read(text.as_bytes(), size);
                assert_eq!(items, [Ok("ä".to_owned()), Ok("b".to_owned())], "{size}");
                assert_eq!(end, Ok(metadata("7", "t")));
            }
        }
    }

    #[test]
    fn no_items_are_a_page_too() {
        for items in ["null", "[]", "[ ]"] {
            let text = format!(r#"{{"items":{items},"metadata":{{"resourceVersion":"7"}}}}"#);
            assert_eq!(read(text.as_bytes(), 3), (vec![], Ok(metadata("7", ""))));
        }
    }

    #[test]
    fn an_item_that_cannot_be_decoded_leaves_its_neighbours() {
        let long = format!(r#"{{"message":"{}"}}"#, "x".repeat(300));
        for bad in [
            &br#"{"count":"many","x":"]}"}"#[..],
            b"{\"reason\":\"\xff\"}",
            b"null",
            br#"{"a":tru}"#,
            long.as_bytes(),
        ] {
            let text = [
                br#"{"metadata":{"resourceVersion":"7"},"items":[{"metadata":{"name":"a"}},"#,
                bad,
                br#",{"metadata":{"name":"b"}}]}"#,
            ]
            .concat();
            for size in [1, 7, text.len()] {
                let (items, end) = read(&text, size);
                assert_eq!(end, Ok(metadata("7", "")), "{items:?}");
                assert_eq!(items.len(), 3, "{items:?}");
                assert_eq!((&items[0], &items[2]), (&Ok("a".into()), &Ok("b".into())));
                assert!(items[1].as_ref().is_err_and(|bytes| bad.starts_with(&bytes[..1])));
            }
        }
    }

    #[test]
    fn a_page_that_is_cut_off_is_told() {
        let text = br#"{"metadata":{"resourceVersion":"7"},"items":[{"metadata":{"name":"a"}}]}"#;
        for end in 0..text.len() {
            assert!(read(&text[..end], 16).1.is_err());
        }
        assert!(read(text, 16).1.is_ok());
        assert!(read(b"<html>", 16).1.is_err());
        assert!(read(br#"{"items":[]}"#, 16).1.is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(text in "[\\[\\]{}\",:a\\\\ ]{0,60}", bytes: Vec<u8>, size in 1_usize..9) {
            drop(read(text.as_bytes(), size));
            drop(read(&[b"{\"items\":[", &bytes[..]].concat(), size));
        }
    }
}
