//! Results as the XML of `JUnit`, which CI systems read.

use super::{Outcome, Tested};

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// The text of a report on all files.
pub(super) fn report(files: &[Tested]) -> String {
    let sum = |of: fn(&Tested) -> usize| files.iter().map(of).sum::<usize>();
    let [tests, failures, errors] =
        [sum(Tested::tests), sum(Tested::failures), sum(Tested::errors)];
    let counts = format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\"");
    let suites: String = files.iter().map(suite).collect();
    format!("{HEAD}<testsuites {counts}>\n{suites}</testsuites>\n")
}

fn suite(file: &Tested) -> String {
    let [tests, failures, errors] = [file.tests(), file.failures(), file.errors()];
    let name = escaped(&file.name);
    let counts = format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\"");
    let cases = file.results.iter().map(|(test, outcome)| case(&name, test, outcome));
    let cases: String = cases.collect();
    format!("  <testsuite name=\"{name}\" {counts}>\n{cases}  </testsuite>\n")
}

fn case(file: &str, test: &str, outcome: &Outcome) -> String {
    let case = format!("    <testcase classname=\"{file}\" name=\"{}\"", escaped(test));
    let (element, message, text) = match outcome {
        Outcome::Passed => return case + "/>\n",
        Outcome::Failed(failures) => {
            let text: Vec<_> = failures.iter().map(super::plain).collect();
            ("failure", "not as expected", text.join("\n"))
        }
        Outcome::Mistaken(text) => ("error", "the test cannot be carried out", text.clone()),
    };
    let text = escaped(&text);
    format!("{case}>\n      <{element} message=\"{message}\">{text}</{element}>\n    </testcase>\n")
}

/// A text in an attribute or an element. What XML cannot say is left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '&' => escaped += "&amp;",
            '"' => escaped += "&quot;",
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_has_a_meaning_for_is_escaped_and_what_it_cannot_say_left_out() {
        assert_eq!(
            escaped("a < b & \"c\" > d\u{1b}[0m\né"),
            "a &lt; b &amp; &quot;c&quot; &gt; d[0m\né"
        );
    }
}
