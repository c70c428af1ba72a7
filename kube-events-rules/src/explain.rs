//! Why a condition holds for an Event, or does not.

use crate::{
    ast::{Ast, Joint, NodeId, NodeKind},
    condition::Condition,
    fields::Fields,
    program::CompiledTest,
    span::Span,
    value::Value,
    verdict::Verdict,
};

/// What a condition says of one Event, and which of its tests decided that.
///
/// ```
/// use kube_events_rules::{Condition, JsonEvent, Verdict};
///
/// let text = r#"type = "Warning" and count > 3"#;
/// let event = serde_json::json!({"type": "Warning", "count": 2});
/// let why = Condition::parse(text)?.explain(&JsonEvent::new(&event));
/// assert_eq!(why.verdict, Verdict::False);
/// let decisive = why.tests.iter().find(|asked| asked.decides).unwrap();
/// assert_eq!((decisive.span.of(text), decisive.value.as_deref()), ("count > 3", Some("2")));
/// # Ok::<_, kube_events_rules::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What the condition says.
    pub verdict: Verdict,
    /// Its tests, in the order of the text.
    pub tests: Vec<Asked>,
}

/// One test of a condition, made on one Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Where it is, in bytes of the condition.
    pub span: Span,
    /// What it says.
    pub verdict: Verdict,
    /// The value that it was made on, as text; none if the name is not there.
    pub value: Option<String>,
    /// Whether the condition says what it says because of this test: where one operand of `and` or `or`
    /// is enough, only the first such one is said to decide.
    pub decides: bool,
}

impl Condition {
    /// Says what [`Condition::evaluate`] says, and why. Makes every test, so it costs more.
    pub fn explain(&self, fields: &(impl Fields + ?Sized)) -> Explanation {
        let ast = self.ast();
        // A program begins with its last step.
        let tests: Vec<_> = self.program().steps().iter().rev().map(|step| &step.test).collect();
        let said: Vec<_> = tests.iter().map(|test| verdict_of(test, fields)).collect();
        let nodes = verdicts(ast, &said);
        let decisive = decisive(ast, &nodes);
        let asked = ast.nodes().iter().zip(&decisive).filter_map(|(node, decides)| {
            matches!(node.kind, NodeKind::Test(_)).then_some((node.span, *decides))
        });
        let asked = asked.zip(tests.iter().zip(said)).map(|((span, decides), (test, verdict))| {
            Asked { span, verdict, value: value_of(test, fields), decides }
        });
        Explanation { verdict: nodes[ast.root().index()], tests: asked.collect() }
    }
}

fn verdict_of(test: &CompiledTest, fields: &(impl Fields + ?Sized)) -> Verdict {
    match test.evaluate(fields) {
        Ok(true) => Verdict::True,
        Ok(false) => Verdict::False,
        Err(reason) => Verdict::Undecided(reason),
    }
}

fn value_of(test: &CompiledTest, fields: &(impl Fields + ?Sized)) -> Option<String> {
    let key = &test.name.key;
    let Some(path) = key.path() else {
        return fields.get(key).map(|value| value.as_text().into_owned());
    };
    let found = path.find_in(fields.json()?);
    let texts: Vec<_> =
        found.into_iter().map(|it| Value::Json(it).as_text().into_owned()).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

/// What each node says, by what the tests say.
fn verdicts(ast: &Ast, tests: &[Verdict]) -> Vec<Verdict> {
    let mut tests = tests.iter();
    let mut known: Vec<Verdict> = Vec::with_capacity(ast.nodes().len());
    for node in ast.nodes() {
        let of = |id: NodeId| known[id.index()];
        known.push(match node.kind {
            NodeKind::Test(_) => *tests.next().expect("each test was made"),
            NodeKind::Not(inner) => match of(inner) {
                Verdict::True => Verdict::False,
                Verdict::False => Verdict::True,
                undecided @ Verdict::Undecided(_) => undecided,
            },
            NodeKind::Join(joint, left, right) => joined(joint, of(left), of(right)),
        });
    }
    known
}

fn joined(joint: Joint, left: Verdict, right: Verdict) -> Verdict {
    let enough = enough(joint);
    match (left, right) {
        _ if left == enough || right == enough => enough,
        (Verdict::Undecided(_), _) => left,
        _ => right,
    }
}

/// What one operand says that is enough for the whole.
fn enough(joint: Joint) -> Verdict {
    match joint {
        Joint::And => Verdict::False,
        Joint::Or => Verdict::True,
    }
}

/// Which nodes the verdict of the root comes from.
fn decisive(ast: &Ast, verdicts: &[Verdict]) -> Vec<bool> {
    let mut decisive = vec![false; verdicts.len()];
    let mut todo = vec![ast.root()];
    while let Some(id) = todo.pop() {
        decisive[id.index()] = true;
        match ast.node(id).kind {
            NodeKind::Test(_) => {}
            NodeKind::Not(inner) => todo.push(inner),
            NodeKind::Join(joint, left, right) => {
                let verdict = verdicts[id.index()];
                let agrees = |id: &NodeId| match verdict {
                    Verdict::Undecided(_) => matches!(verdicts[id.index()], Verdict::Undecided(_)),
                    verdict => verdicts[id.index()] == verdict,
                };
                let most = if verdict == enough(joint) { 1 } else { 2 };
                todo.extend([left, right].into_iter().filter(agrees).take(most));
            }
        }
    }
    decisive
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::JsonEvent;

    fn decisive_tests(text: &str) -> Vec<String> {
        let event = json!({"type": "Warning", "reason": "BackOff", "count": 2, "message": "m"});
        let condition = Condition::parse(text).unwrap();
        let why = condition.explain(&JsonEvent::new(&event));
        assert_eq!(why.verdict, condition.evaluate(&JsonEvent::new(&event)), "{text}");
        let decisive = why.tests.iter().filter(|asked| asked.decides);
        decisive.map(|asked| asked.span.of(text).to_owned()).collect()
    }

    #[test]
    fn what_decides_is_what_could_not_be_otherwise() {
        let table: &[(&str, &[&str])] = &[
            ("count > 1", &["count > 1"]),
            ("count > 1 and count < 9", &["count > 1", "count < 9"]),
            ("count > 1 and count > 5 and count > 7", &["count > 5"]),
            ("count > 5 or count > 1 or count > 0", &["count > 1"]),
            ("not (count > 5 or count > 7)", &["count > 5", "count > 7"]),
            ("message = 5 and count > 1", &["message = 5"]),
            ("message = 5 and count > 7", &["count > 7"]),
            ("count > 7 or message = 5", &["message = 5"]),
        ];
        for (text, expected) in table {
            assert_eq!(decisive_tests(text), *expected, "{text}");
        }
    }

    #[test]
    fn a_name_that_is_not_there_has_no_value() {
        let why = Condition::parse("foo = \"x\"").unwrap().explain(&JsonEvent::new(&json!({})));
        assert_eq!((why.tests[0].value.as_deref(), why.verdict), (None, Verdict::False));
    }
}
