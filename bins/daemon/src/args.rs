//! Arguments, in the form that Go programs take too.

use std::ffi::OsString;

use clap::Parser;

/// Parses the process's arguments; on `--help` or a mistake it prints what there is to say and
/// exits.
pub fn parse<P: Parser>() -> P {
    P::parse_from(double_dashes(std::env::args_os()))
}

/// Gives long options that begin with one dash, as Go's `flag` takes them, the dash that they lack.
///
/// `-config.file F` becomes `--config.file F`; `-h`, `-1`, and everything after `--`, stay.
pub fn double_dashes(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut options = true;
    args.into_iter()
        .map(|arg| {
            options &= arg != "--";
            if options && is_single_dashed(&arg) { prefixed(&arg) } else { arg }
        })
        .collect()
}

fn is_single_dashed(arg: &OsString) -> bool {
    matches!(arg.as_encoded_bytes(), [b'-', b'a'..=b'z' | b'A'..=b'Z', second, ..] if *second != b'=')
}

fn prefixed(arg: &OsString) -> OsString {
    let mut double = OsString::from("-");
    double.push(arg);
    double
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubled(args: &[&str]) -> Vec<String> {
        double_dashes(args.iter().map(OsString::from))
            .into_iter()
            .map(|arg| arg.into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_long_option_with_one_dash_gets_its_second() {
        assert_eq!(
            doubled(&["x", "-config.file", "/f", "-master=http://a"]),
            ["x", "--config.file", "/f", "--master=http://a"]
        );
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        let args =
            ["x", "--config.file=/f", "-h", "-1", "-15", "-", "-v=2", "run", "--", "-config"];
        assert_eq!(doubled(&args), args);
    }
}
