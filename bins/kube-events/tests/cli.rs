//! What the command line prints, command by command: `tests/cmd`.

#[test]
fn commands_print_what_is_recorded() {
    trycmd::TestCases::new()
        .case("tests/cmd/*.trycmd")
        .case("tests/cmd/*.toml")
        .register_bin("kube-events", std::path::Path::new(env!("CARGO_BIN_EXE_kube-events")));
}

/// The standard output of `rules explain`, as told what to do about colours.
fn explained(variables: &[(&str, &str)]) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cmd/explain.in");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_kube-events"))
        .args(["rules", "explain", "--rules", "rules.yaml", "event.json"])
        .current_dir(folder)
        .env_remove("NO_COLOR")
        .envs(variables.iter().copied())
        .output()
        .expect("the binary was built for this test");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn colours_are_for_those_who_want_them() {
    let painted = explained(&[("CLICOLOR_FORCE", "1")]);
    assert!(painted.contains("\u{1b}[32mmatches"), "{painted}");
    for variables in [&[][..], &[("NO_COLOR", "1")]] {
        assert!(!explained(variables).contains('\u{1b}'));
    }
}
