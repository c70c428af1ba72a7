//! `JSONPath` in conditions.
//!
//! Any tenant may write one, and all of them are followed in the same process. So a path may look
//! at each node of an Event once, but not at every node for every node.

use kube_events_core::event::Path;

use crate::error::{Error, ErrorKind};
use crate::span::Span;

/// Bytes of a path.
const MAX_LENGTH: usize = 512;

/// Reads a path, which stands at `span`.
pub(crate) fn parse(text: &str, span: Span) -> Result<Path, Error> {
    let refuse = |why, help: &str| Err(Error::new(ErrorKind::Path(why), span).help(help));
    if text.len() > MAX_LENGTH {
        return refuse("it has more than 512 bytes", "name a node that is nearer");
    }
    let shape = Shape::of(text);
    if shape.descents > 1 {
        return refuse("`..` stands once at most", "name the members between");
    }
    if shape.heavy_filter {
        return refuse(
            "a filter looks at the members of its element, by `@.name`, and compares them",
            "patterns are asked of what is found: `$.metadata.ownerReferences[*].name like \"web-*\"`",
        );
    }
    if shape.unions {
        return refuse("a bracket has one selector", "join two tests with `or`");
    }
    let parsed = text.parse::<Path>();
    parsed.map_err(|_| {
        Error::new(ErrorKind::Path("it is not of RFC 9535"), span).help(
            "a path is written `$.metadata.labels['app']`, `$.metadata.ownerReferences[0].name` \
             or `$.metadata.ownerReferences[?@.kind == 'Job'].name`",
        )
    })
}

/// What of a path decides how long it takes.
#[derive(Default)]
struct Shape {
    descents: usize,
    /// `[*, *]`, by which a node is found many times.
    unions: bool,
    /// A filter that looks at more than its element, or that calls a function on patterns.
    heavy_filter: bool,
}

impl Shape {
    fn of(text: &str) -> Self {
        let mut shape = Self::default();
        let (mut depth, mut filters, mut quote) = (0_usize, 0_usize, None);
        let mut chars = text.char_indices();
        while let Some((at, c)) = chars.next() {
            let rest = &text[at..];
            match (quote, c) {
                (Some(_), '\\') => drop(chars.next()),
                (Some(open), _) => quote = quote.filter(|_| c != open),
                (None, '"' | '\'') => quote = Some(c),
                (None, '[') => depth += 1,
                (None, ']') => depth = depth.saturating_sub(1),
                (None, '?') => filters += 1,
                (None, ',') => shape.unions = true,
                (None, '.') if rest.starts_with("..") => {
                    shape.descents += 1;
                    shape.heavy_filter |= depth > 0;
                    chars.next();
                }
                (None, '$') => shape.heavy_filter |= depth > 0,
                (None, '(') => {
                    let call = ["match", "search"].iter().any(|name| text[..at].ends_with(name));
                    shape.heavy_filter |= call;
                }
                (None, _) => {}
            }
        }
        shape.heavy_filter |= filters > 2;
        shape
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_looks_at_each_node_once() {
        let table = [
            ("$.metadata.labels['a.b/c']", None),
            ("$.metadata.ownerReferences[?@.kind == 'x..y' && @.controller == true].name", None),
            ("$..name", None),
            ("$..a..b", Some("once at most")),
            ("$.a[*, *][0,0]", Some("one selector")),
            ("$.a[?@..b]", Some("a filter looks")),
            ("$.a[?$.b == 1]", Some("a filter looks")),
            ("$.a[?search(@.b, 'x')]", Some("a filter looks")),
            ("$.a[?match(@.b, 'x')]", Some("a filter looks")),
            ("$.a[?@[?@[?@.b]]]", Some("a filter looks")),
            ("$.a[x]", Some("RFC 9535")),
        ];
        for (text, refused) in table {
            let error = parse(text, Span::default()).err().map(|error| error.to_string());
            match refused {
                None => assert_eq!(error, None, "{text}"),
                Some(part) => {
                    assert!(error.as_ref().is_some_and(|e| e.contains(part)), "{text}: {error:?}");
                }
            }
        }
    }
}
