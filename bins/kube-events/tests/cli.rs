//! What the command line prints, command by command: `tests/cmd`.

#[test]
fn commands_print_what_is_recorded() {
    trycmd::TestCases::new()
        .case("tests/cmd/*.trycmd")
        .case("tests/cmd/*.toml")
        .register_bin("kube-events", std::path::Path::new(env!("CARGO_BIN_EXE_kube-events")));
}
