//! The kinds of scalars: YAML 1.2's, with YAML 1.1's numbers. `no` and `on` are texts.

use super::{Kind, Value};

/// The value of an unquoted scalar.
pub(super) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Value::Scalar(Kind::Bool, text.to_owned()),
        _ if is_number(text) => Value::Scalar(Kind::Number, text.to_owned()),
        _ => Value::Scalar(Kind::Text, text.to_owned()),
    }
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = |text: &str, radix: u32| {
        text.starts_with(|c: char| c.is_digit(radix)) && text.chars().all(|c| c == '_' || c.is_digit(radix))
    };
    match unsigned {
        ".inf" | ".Inf" | ".INF" => return true,
        ".nan" | ".NaN" | ".NAN" => return unsigned == text,
        _ => {}
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(rest) = unsigned.strip_prefix(prefix) {
            return digits(rest, radix);
        }
    }
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    let is_fraction = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    let is_mantissa = match whole {
        "" => !fraction.is_empty() && is_fraction(fraction),
        _ => digits(whole, 10) && is_fraction(fraction),
    };
    is_mantissa && !exponent.is_empty() && is_fraction(exponent)
}
