//! Numbers and booleans as text: read and written as Go's `strconv` and `fmt` do.

use std::fmt::Write as _;

/// Reads a text as a 64-bit float, by the syntax of Go's `strconv.ParseFloat`.
///
/// `None` if it is no number, or one too large for the type.
pub(crate) fn parse(text: &str) -> Option<f64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'+' => (false, &text[1..]),
        b'-' => (true, &text[1..]),
        _ => (false, text),
    };
    let size = magnitude(digits, digits.len() == text.len())?;
    Some(if negative { -size } else { size })
}

fn magnitude(text: &str, unsigned: bool) -> Option<f64> {
    if text.eq_ignore_ascii_case("inf") || text.eq_ignore_ascii_case("infinity") {
        return Some(f64::INFINITY);
    }
    if text.eq_ignore_ascii_case("nan") {
        return unsigned.then_some(f64::NAN);
    }
    let plain = without_underscores(text)?;
    let value = match strip_hex_prefix(&plain) {
        Some(hex) => hexadecimal(hex)?,
        None => decimal(&plain)?,
    };
    value.is_finite().then_some(value)
}

fn strip_hex_prefix(text: &str) -> Option<&str> {
    text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))
}

/// Removes underscores, each of which must stand between digits (or after `0x`).
fn without_underscores(text: &str) -> Option<String> {
    if !text.contains('_') {
        return Some(text.to_owned());
    }
    let hex = strip_hex_prefix(text).is_some();
    let is_digit = |b: u8| b.is_ascii_digit() || hex && b.is_ascii_hexdigit();
    let bytes = text.as_bytes();
    for (i, _) in bytes.iter().enumerate().filter(|(_, b)| **b == b'_') {
        let before = i.checked_sub(1).map(|i| bytes[i])?;
        let after_prefix = hex && i == 2;
        if !(is_digit(before) || after_prefix) || !bytes.get(i + 1).is_some_and(|b| is_digit(*b)) {
            return None;
        }
    }
    Some(text.replace('_', ""))
}

/// Digits with an optional point and an optional decimal exponent.
fn decimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let points = mantissa.bytes().filter(|b| *b == b'.').count();
    let well_formed = digits > 0 && points <= 1 && digits + points == mantissa.len();
    if !well_formed || exponent.is_some_and(|e| !is_exponent(e)) {
        return None;
    }
    text.parse().ok()
}

fn is_exponent(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// Hexadecimal digits with an optional point and a binary exponent, which is required.
fn hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    if !is_exponent(exponent) {
        return None;
    }
    let exponent = exponent.parse::<i64>().unwrap_or(saturated(exponent)).clamp(-1 << 40, 1 << 40);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.len() + fraction.len() == 0 {
        return None;
    }
    let mut bits: u64 = 0;
    let mut scale = exponent;
    for (i, digit) in whole.chars().chain(fraction.chars()).enumerate() {
        let digit = u64::from(digit.to_digit(16)?);
        if bits >> 59 == 0 {
            bits = bits << 4 | digit;
            scale -= if i >= whole.len() { 4 } else { 0 };
        } else {
            // What no longer fits only matters for rounding: one sticky bit stands for it.
            bits |= u64::from(digit != 0);
            scale += if i < whole.len() { 4 } else { 0 };
        }
    }
    Some(scaled(bits, scale))
}

fn saturated(exponent: &str) -> i64 {
    if exponent.starts_with('-') { i64::MIN } else { i64::MAX }
}

/// `bits * 2^scale`, rounded to the nearest float, ties to even.
fn scaled(bits: u64, scale: i64) -> f64 {
    if bits == 0 {
        return 0.0;
    }
    let top = 63 - i64::from(bits.leading_zeros()) + scale;
    if top > 1023 {
        return f64::INFINITY;
    }
    // The weight of the last bit that the float can hold at this size.
    let unit = (top - 52).max(-1074);
    let mantissa = shifted(bits, scale - unit);
    #[allow(clippy::cast_precision_loss)] // at most 2^53
    let mut value = mantissa as f64;
    let mut rest = unit;
    while rest != 0 {
        let step = rest.clamp(-1000, 1000);
        value *= 2f64.powi(i32::try_from(step).expect("clamped to a thousand"));
        rest -= step;
    }
    value
}

/// `bits * 2^by`, rounded half to even.
fn shifted(bits: u64, by: i64) -> u64 {
    if by >= 0 {
        return bits << by;
    }
    if by < -64 {
        return 0;
    }
    let wide = u128::from(bits) << 64 >> -by;
    let whole = u64::try_from(wide >> 64).expect("shifted right by one at least");
    let rest = u64::try_from(wide & u128::from(u64::MAX)).expect("masked");
    let half = 1 << 63;
    whole + u64::from(rest > half || rest == half && whole & 1 == 1)
}

/// Reads a text as a boolean, by the spellings of Go's `strconv.ParseBool`.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Writes a float as Go's `%v` does: the fewest digits, an exponent from a million on.
pub(crate) fn write(out: &mut String, number: f64) {
    let scientific = format!("{number:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        out.push_str(if number.is_nan() { "NaN" } else { infinity(number) });
        return;
    };
    let exponent: i32 = exponent.parse().expect("written by the standard library");
    if (-4..6).contains(&exponent) {
        write!(out, "{number}").expect("strings take any text");
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(out, "{mantissa}e{sign}{:02}", exponent.abs()).expect("strings take any text");
    }
}

fn infinity(number: f64) -> &'static str {
    if number > 0.0 { "+Inf" } else { "-Inf" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(number: f64) -> String {
        let mut out = String::new();
        write(&mut out, number);
        out
    }

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        let table: &[(&str, Option<f64>)] = &[
            ("5", Some(5.0)),
            ("+5", Some(5.0)),
            (".5", Some(0.5)),
            ("5.", Some(5.0)),
            ("1e3", Some(1000.0)),
            ("1E+3", Some(1000.0)),
            ("1_000", Some(1000.0)),
            ("0x1p4", Some(16.0)),
            ("0X_1.8P1", Some(3.0)),
            ("-0x1p-1074", Some(-5e-324)),
            ("0x1p-1075", Some(0.0)),
            ("0x1.00000000000008p0", Some(1.0)),
            ("0x1.000000000000080000001p0", Some(1.000_000_000_000_000_2)),
            ("0x1.fffffffffffff8p1023", None),
            ("0x1.fffffffffffffp1023", Some(f64::MAX)),
            ("0x10000000000000000p-64", Some(1.0)),
            ("0x1p99999999999999999999", None),
            ("0x0p99999999999999999999", Some(0.0)),
            ("inf", Some(f64::INFINITY)),
            ("-Infinity", Some(f64::NEG_INFINITY)),
            ("1e400", None),
            ("1e-400", Some(0.0)),
            ("", None),
            ("+", None),
            (".", None),
            ("1e", None),
            ("0x1", None),
            ("0xp1", None),
            ("1__0", None),
            ("_1", None),
            ("1_", None),
            ("1_.5", None),
            (" 5", None),
            ("+nan", None),
            ("infinit", None),
            ("1.2.3", None),
            ("٣", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), *expected, "{text}");
        }
        assert!(parse("NaN").is_some_and(f64::is_nan));
    }

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        let table: &[(f64, &str)] = &[
            (27.0, "27"),
            (999_999.0, "999999"),
            (1_000_000.0, "1e+06"),
            (2_147_483_647.0, "2.147483647e+09"),
            (-2_000_000.0, "-2e+06"),
            (0.0, "0"),
            (-0.0, "-0"),
            (2.5, "2.5"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (1e100, "1e+100"),
            (123_456.5, "123456.5"),
        ];
        for (number, expected) in table {
            assert_eq!(written(*number), *expected);
        }
    }
}
