//! Several namespaces as one source.

use futures::{Stream, StreamExt, future, stream, stream::BoxStream};

use crate::{
    ResourceVersion,
    source::{Observed, SourceError},
};

/// How far all parts are together.
#[derive(Debug)]
struct Parts {
    versions: Vec<ResourceVersion>,
    /// Which parts have said where they are since it was told last.
    heard: Vec<bool>,
}

/// Merges sources whose versions have one order.
///
/// Progress is the least of theirs, told each time that every one of them has spoken again: so it
/// is never newer than a part that is cut off, nor told in the name of one.
pub(super) fn merge(
    parts: Vec<BoxStream<'static, Result<Observed, SourceError>>>,
) -> impl Stream<Item = Result<Observed, SourceError>> + Send + use<> {
    let mut together = Parts {
        versions: vec![ResourceVersion::default(); parts.len()],
        heard: vec![false; parts.len()],
    };
    let numbered = parts
        .into_iter()
        .enumerate()
        .map(|(number, part)| part.map(move |observed| (number, observed)).boxed());
    stream::select_all(numbered).filter_map(move |(number, observed)| {
        future::ready(match observed {
            Ok(Observed::Progress(version)) => {
                together.hear(number, version).map(|least| Ok(Observed::Progress(least)))
            }
            observed => Some(observed),
        })
    })
}

// === impl Parts ===

impl Parts {
    fn hear(&mut self, number: usize, version: ResourceVersion) -> Option<ResourceVersion> {
        self.versions[number] = version;
        self.heard[number] = true;
        if !self.heard.iter().all(|heard| *heard) {
            return None;
        }
        self.heard.fill(false);
        self.versions.iter().min().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_the_least_of_all_parts_once_each_has_spoken() {
        let mut parts =
            Parts { versions: vec![ResourceVersion::default(); 2], heard: vec![false; 2] };
        let mut hear = |number, version: &str| {
            parts.hear(number, version.into()).map(|least| least.to_string())
        };
        assert_eq!(hear(0, "5"), None);
        assert_eq!(hear(0, "9"), None);
        assert_eq!(hear(1, "7"), Some("7".into()));
        assert_eq!(hear(1, "12"), None);
        assert_eq!(hear(0, "10"), Some("10".into()));
    }
}
