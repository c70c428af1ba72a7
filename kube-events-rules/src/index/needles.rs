//! All texts that conditions look for in one field, found in one pass over it.

use aho_corasick::AhoCorasick;

use super::{Part, scratch::Scratch, test::Answer};
use crate::{fields::Fields, name::Key, work};

#[derive(Debug)]
pub(super) struct Needles {
    key: Key,
    automaton: AhoCorasick,
    texts: Box<[Needle]>,
    conditions: Box<[u32]>,
}

/// One of the texts.
#[derive(Clone, Copy, Debug)]
struct Needle {
    /// The test whether the field contains it.
    test: u32,
    /// The conditions that are found by it.
    conditions: Part,
}

// === impl Needles ===

impl Needles {
    /// `needles`: each text, the test that asks for it, and the conditions that are found by it.
    pub(super) fn new(key: Key, needles: Vec<(Box<str>, u32, Vec<u32>)>) -> Self {
        let patterns = needles.iter().map(|(text, ..)| text.as_bytes());
        let automaton =
            AhoCorasick::new(patterns).expect("fewer texts than 2^31, and each is short");
        let mut conditions = Vec::new();
        let texts = needles.into_iter().map(|(_, test, found)| Needle {
            test,
            conditions: Part::push(&mut conditions, found),
        });
        Self { key, automaton, texts: texts.collect(), conditions: conditions.into() }
    }

    /// Whether conditions are found by texts in this field; else it is searched only when they ask.
    pub(super) fn lead_anywhere(&self) -> bool {
        !self.conditions.is_empty()
    }

    /// All conditions that are found by some text.
    pub(super) fn all_conditions(&self) -> &[u32] {
        &self.conditions
    }

    pub(super) fn conditions(&self, needle: u32) -> &[u32] {
        &self.conditions[self.texts[needle as usize].conditions.range()]
    }

    /// Answers the tests whose text is found, and notes which texts lead to conditions.
    pub(super) fn search(
        &self,
        fields: &(impl Fields + ?Sized),
        place: usize,
        scratch: &mut Scratch,
    ) {
        let Some(value) = fields.get(&self.key) else {
            return scratch.end_without_field(place);
        };
        for found in self.automaton.find_overlapping_iter(&*value.as_text()) {
            // Of texts within one another many end at each place.
            if !scratch.fuel.take(work::FOUND) {
                return scratch.cut_search(place);
            }
            let needle = found.pattern();
            let Needle { test, conditions } = self.texts[needle];
            if scratch.answer(test).is_none() {
                scratch.keep(test, Answer::Yes);
                if !conditions.range().is_empty() {
                    scratch.add_found(place, needle.as_u32());
                }
            }
        }
    }
}
