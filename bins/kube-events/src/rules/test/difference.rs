//! What was expected beside what came.

use std::collections::BTreeMap;

use super::super::style::{BAD, GOOD, paint};

/// Something that follows from rules, or should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// `alert`, `notification` or `drop`.
    pub(super) what: &'static str,
    pub(super) rule: String,
    /// What else is known of it, such as `labels.severity`.
    pub(super) details: BTreeMap<String, String>,
}

/// One line of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Same(String),
    Expected(String),
    Got(String),
}

/// Compares what was expected with what came. What came and is `optional` need not be expected; with
/// `others` nothing needs to be. No line: all is as it was expected.
pub(super) fn difference(
    mut expected: Vec<Item>,
    got: Vec<Item>,
    optional: Vec<Item>,
    others: bool,
) -> Vec<Line> {
    // Whoever says most has the first choice.
    expected.sort_by_key(|item| std::cmp::Reverse(item.details.len()));
    let mut left: Vec<_> = got.into_iter().map(|item| (item, true)).collect();
    left.extend(optional.into_iter().map(|item| (item, false)));
    let is_there = |item: &Item, left: &mut Vec<(Item, bool)>| {
        let place = left.iter().position(|(got, _)| item.is_met_by(got));
        place.map(|place| left.remove(place)).is_some()
    };
    expected.retain(|item| !is_there(item, &mut left));
    let mut lines = Vec::new();
    for item in expected {
        match left.iter().position(|(got, _)| got.is_like(&item)) {
            Some(place) => lines.extend(item.beside(&left.remove(place).0)),
            None => lines.extend(item.lines().map(Line::Expected)),
        }
    }
    let surplus = left.into_iter().filter(|(_, counts)| *counts && !others);
    lines.extend(surplus.flat_map(|(got, _)| got.lines().map(Line::Got).collect::<Vec<_>>()));
    lines
}

// === impl Item ===

impl Item {
    fn is_like(&self, other: &Self) -> bool {
        self.what == other.what && self.rule == other.rule
    }

    fn is_met_by(&self, got: &Self) -> bool {
        let details = self.details.iter();
        self.is_like(got)
            && details.into_iter().all(|(name, value)| got.details.get(name) == Some(value))
    }

    fn head(&self) -> String {
        format!("{} {}", self.what, self.rule)
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        let details = self.details.iter().map(|(name, value)| format!("  {name}: {value}"));
        [self.head()].into_iter().chain(details)
    }

    /// What is expected and is otherwise.
    fn beside(&self, got: &Self) -> Vec<Line> {
        let mut lines = vec![Line::Same(self.head())];
        for (name, value) in &self.details {
            let found = got.details.get(name);
            if found == Some(value) {
                lines.push(Line::Same(format!("  {name}: {value}")));
                continue;
            }
            lines.push(Line::Expected(format!("  {name}: {value}")));
            lines.extend(found.map(|found| Line::Got(format!("  {name}: {found}"))));
        }
        lines
    }
}

// === impl Line ===

impl Line {
    pub(super) fn plain(&self) -> String {
        match self {
            Self::Same(text) => format!("    {text}"),
            Self::Expected(text) => format!("  - {text}"),
            Self::Got(text) => format!("  + {text}"),
        }
    }

    pub(super) fn painted(&self) -> String {
        match self {
            Self::Same(_) => self.plain(),
            Self::Expected(_) => paint(BAD, &self.plain()),
            Self::Got(_) => paint(GOOD, &self.plain()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(rule: &str, details: &[(&str, &str)]) -> Item {
        let details = details.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Item { what: "alert", rule: rule.to_owned(), details: details.collect() }
    }

    fn lines(expected: &[Item], got: &[Item], optional: &[Item], others: bool) -> Vec<String> {
        let lines = difference(expected.to_vec(), got.to_vec(), optional.to_vec(), others);
        lines.iter().map(Line::plain).collect()
    }

    #[test]
    fn what_is_expected_is_a_part_of_what_came() {
        let got =
            [item("A", &[("labels.a", "1"), ("labels.b", "2")]), item("A", &[("labels.a", "3")])];
        let vague = item("A", &[]);
        let exact = item("A", &[("labels.a", "1")]);
        assert_eq!(lines(&[vague.clone(), exact.clone()], &got, &[], false), [""; 0]);
        assert_eq!(lines(&[exact], &got, &[], false), ["  + alert A", "  +   labels.a: 3"]);
        assert_eq!(lines(&[vague], &got, &[], true), [""; 0]);
    }

    #[test]
    fn what_differs_stands_beside_what_came() {
        let expected = [item("A", &[("labels.a", "1"), ("labels.b", "2"), ("state", "firing")])];
        let got = [item("A", &[("labels.a", "9"), ("state", "firing")])];
        let drawn = [
            "    alert A",
            "  -   labels.a: 1",
            "  +   labels.a: 9",
            "  -   labels.b: 2",
            "      state: firing",
        ];
        assert_eq!(lines(&expected, &got, &[], false), drawn);
    }

    #[test]
    fn what_did_not_come_is_told_whether_others_may_be_there_or_not() {
        for others in [false, true] {
            assert_eq!(lines(&[item("A", &[])], &[], &[], others), ["  - alert A"]);
        }
    }

    #[test]
    fn what_is_optional_can_be_expected() {
        let over = [item("A", &[("state", "resolved")])];
        assert_eq!(lines(&[], &[], &over, false), [""; 0]);
        assert_eq!(lines(&over, &[], &over, false), [""; 0]);
    }
}
