//! No file of tests makes `rules test` panic or wait, and it says the same of it each time. After a line `---` come the
//! rules that are tested.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rules::test::test_rules;

// Of the command line only this, and of what programs share only how mistakes in YAML are told: as packages they would
// bring kube, servers and TLS to be compiled with the fuzzer's instruments.
#[allow(dead_code, reason = "other subcommands use it")]
#[path = "../../bins/kube-events/src/rules"]
mod rules {
    mod compile;
    mod document;
    mod files;
    mod finding;
    mod scalar;
    mod simulation;
    mod source;
    mod style;
    pub mod test;
}
#[path = "../../bins/daemon/src/yaml.rs"]
pub mod yaml;
extern crate self as kube_events_daemon;

fuzz_target!(|text: &str| {
    let (tests, rules) = text.split_once("\n---\n").unwrap_or((text, ""));
    let report = test_rules(tests, rules);
    assert_eq!(report, test_rules(tests, rules));
});
