//! Patterns that are more, or less, than they look.

use crate::ast::{Case, Check, Comparison, Literal, Spanned, Test};
use crate::quoted::Quoted;

/// What to write instead of a pattern of `like` that looks as if it had to fit the whole text.
///
/// Whoever writes an anchor, or another operator of regular expressions, knows what they are.
pub(crate) fn unanchored(text: &str) -> Option<String> {
    let knows = text.contains(['^', '$', '\\', '(', '[', '{', '|', '+']);
    let open = text.starts_with('*') && text.ends_with('*');
    if knows || open || text.is_empty() {
        return None;
    }
    let anywhere = match text.trim_matches('*') {
        plain if !plain.contains(['*', '?', '.']) => format!("contains {}", Quoted(plain)),
        inner => format!("like {}", Quoted(&format!("*{inner}*"))),
    };
    let all = Quoted(&format!("^{text}$")).to_string();
    Some(format!("write `like {all}` if it is all of the text, `{anywhere}` if it is not"))
}

/// A regular expression that is a plain text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plain {
    text: String,
    /// Whether it must be all of the text.
    whole: bool,
}

/// The plain text that a regular expression is, if it is one.
pub(crate) fn literal(pattern: &str) -> Option<Plain> {
    let inside = pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix('$'));
    let mut text = String::new();
    let mut chars = inside.unwrap_or(pattern).chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(chars.next().filter(char::is_ascii_punctuation)?),
            '^' | '$' | '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' => {
                return None;
            }
            c => text.push(c),
        }
    }
    (!text.is_empty()).then_some(Plain { text, whole: inside.is_some() })
}

// === impl Plain ===

impl Plain {
    /// The test that asks the same without a regular expression.
    pub(crate) fn test(self, test: &Test) -> Test {
        let span = test.name.span;
        let literal = Literal::Text(Spanned { value: self.text, span });
        let (negated, check) = match (self.whole, test.negated) {
            (false, negated) => (negated, Check::Contains(Case::Exact, literal)),
            (true, false) => (false, Check::Compare(Comparison::Equal, literal)),
            (true, true) => (false, Check::Compare(Comparison::NotEqual, literal)),
        };
        Test { name: test.name.clone(), negated, check }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_may_stand_anywhere_but_does_not_look_so_is_noticed() {
        for text in ["web", "web-*", "*-prod", "a?c", "a.b*"] {
            assert!(unanchored(text).is_some(), "{text}");
        }
        for text in ["", "*", "*web*", "^web-*", "prod$", "a|b", r"web-\d", "^web$"] {
            assert_eq!(unanchored(text), None, "{text}");
        }
        let help = unanchored("web-*").unwrap();
        assert!(
            help.contains("`like \"^web-*$\"`") && help.contains("`contains \"web-\"`"),
            "{help}"
        );
    }

    #[test]
    fn a_plain_text_is_told_from_a_regular_expression() {
        let plain = |text: &str, whole| Some(Plain { text: text.into(), whole });
        for (pattern, expected) in [
            ("OOM killed", plain("OOM killed", false)),
            ("^Failed$", plain("Failed", true)),
            (r"a\.b\\c", plain(r"a.b\c", false)),
            (r"^a\$", None),
            (r"\d", None),
            ("a.b", None),
            ("^a", None),
            ("a$", None),
            ("(?i)a", None),
            ("", None),
            ("^$", None),
        ] {
            assert_eq!(literal(pattern), expected, "{pattern}");
        }
    }
}
