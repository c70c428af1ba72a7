//! The recorded cases of the language, through the binary.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::Value;

fn corpus(file: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../../kube-events-rules/tests/corpus", file].iter().collect()
}

fn eval() -> Output {
    Command::new(env!("CARGO_BIN_EXE_kube-events"))
        .args(["rules", "eval", "--events"])
        .arg(corpus("events.json"))
        .arg(corpus("rules-v1alpha1.jsonl"))
        .output()
        .expect("the binary was built for this test")
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect()
}

/// Member names of an Event's JSON that are written in another case count as other members.
fn is_about_member_case(case: &Value) -> bool {
    let number = case["id"].as_str().and_then(|id| id.strip_prefix("decode-"));
    number.is_some_and(|number| number <= "0006")
}

/// Where the old engine failed: refused, or undecided, or decided by the rest of the condition.
fn is_total(case: &Value, answer: &Value) -> bool {
    let text = case["expr"].as_str().expect("every case has a text");
    let joined = text.contains("and") || text.contains("or");
    let failed = answer["error"].is_string() && answer["match"] != true;
    failed || (joined && answer["match"].is_boolean())
}

fn is_as_wanted(case: &Value, answer: &Value) -> bool {
    let expected = &case["match"];
    match (case["clean"] == true, expected.is_boolean()) {
        (true, true) => {
            answer["valid"] == true && answer["match"] == *expected && answer["error"].is_null()
        }
        (true, false) => is_total(case, answer),
        // Refused with a reason, or extended: never failed without one.
        (false, _) => answer["valid"] == answer["match"].is_boolean(),
    }
}

#[test]
fn the_corpus_comes_out_as_wanted() {
    let cases = lines(&std::fs::read_to_string(corpus("rules-v1alpha1.jsonl")).unwrap());
    let output = eval();
    assert!(output.status.success(), "{output:?}");
    let answers = lines(&String::from_utf8(output.stdout).unwrap());
    assert_eq!((cases.len(), answers.len()), (2768, 2768));
    let wrong: Vec<_> = std::iter::zip(&cases, &answers)
        .inspect(|(case, answer)| assert_eq!(case["id"], answer["id"]))
        .filter(|(case, answer)| !is_about_member_case(case) && !is_as_wanted(case, answer))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A `not` before a name that begins like an operator, which the old engine took for that operator.
fn has_a_name_like_an_operator(text: &str) -> bool {
    let goes_on = |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.');
    ["in", "like", "contains", "regex", "exists"].iter().any(|operator| {
        let glued = format!("not {operator}");
        text.match_indices(&glued).any(|(at, _)| goes_on(&text[at + glued.len()..]))
    })
}

#[test]
fn malformed_text_is_refused_unless_its_meaning_is_evident() {
    let cases = lines(&std::fs::read_to_string(corpus("rules-v1alpha1.jsonl")).unwrap());
    let answers = lines(&String::from_utf8(eval().stdout).unwrap());
    let malformed = std::iter::zip(&cases, &answers).filter(|(case, _)| case["clean"] == false);
    let (refused, accepted): (Vec<_>, Vec<_>) =
        malformed.partition(|(_, answer)| answer["valid"] == false);
    assert_eq!((refused.len(), accepted.len()), (219, 43));
    assert!(refused.iter().all(|(_, answer)| answer["error"].is_string()));
    for (case, _) in accepted {
        let text = case["expr"].as_str().expect("every case has a text");
        assert!(has_a_name_like_an_operator(text) || has_a_later_spelling(text), "{text}");
    }
}

/// What the Go ruler stopped reading at, and what is a part of the language here.
fn has_a_later_spelling(text: &str) -> bool {
    ["==", "&&", "||", "AND", "OR", "NOT"].iter().any(|spelling| text.contains(spelling))
}
