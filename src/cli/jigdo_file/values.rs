//! Option values with units: numbers of bytes, and durations.

use std::ffi::OsStr;

use super::Error;

/// A number of bytes, optionally followed by `k`, `M` or `G` in either case, for powers of 1024. No digits mean 0.
pub fn bytes(text: &OsStr) -> Result<u64, Error> {
    let unit = |letter| match letter {
        'k' => Some(1 << 10),
        'm' => Some(1 << 20),
        'g' => Some(1 << 30),
        _ => None,
    };
    amount(text, unit).ok_or_else(|| Error::Bytes { text: text.to_string_lossy().into_owned() })
}

/// A duration in seconds: a number, optionally followed by `h`, `d`, `w`, `m` or `y` in either case for hours, days, weeks,
/// months of 30 days or years of 365 days; or `off`, which is 0.
pub fn seconds(text: &OsStr) -> Result<u64, Error> {
    const DAY: u64 = 24 * 60 * 60;
    let unit = |letter| match letter {
        'h' => Some(60 * 60),
        'd' => Some(DAY),
        'w' => Some(7 * DAY),
        'm' => Some(30 * DAY),
        'y' => Some(365 * DAY),
        _ => None,
    };
    if text == "off" {
        return Ok(0);
    }
    amount(text, unit).ok_or_else(|| Error::Time { text: text.to_string_lossy().into_owned() })
}

/// A number times the unit whose letter, in lower case, may follow it.
fn amount(text: &OsStr, unit: impl Fn(char) -> Option<u64>) -> Option<u64> {
    let text = text.to_str()?;
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let mut letters = text[digits.len()..].chars();
    let factor = letters.next().map_or(Some(1), |letter| unit(letter.to_ascii_lowercase()))?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits.is_empty() { 0 } else { digits.parse::<u64>().ok()? };
    (is_number && letters.next().is_none()).then(|| number.checked_mul(factor))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_may_have_one_unit() {
        for (text, expected) in [
            ("0", 0),
            ("17", 17),
            ("10k", 10 << 10),
            ("3K", 3 << 10),
            ("2M", 2 << 20),
            ("1g", 1 << 30),
            ("", 0),
            ("k", 0),
        ] {
            assert_eq!(bytes(OsStr::new(text)).unwrap(), expected, "{text}");
        }
        for text in ["-1", "+1", "1.5k", "12x", "1kk", " 12", "12 k", "0x10", "99999999999999999999", "17179869184G"] {
            assert!(bytes(OsStr::new(text)).unwrap_err().to_string().contains(text), "{text}");
        }
    }

    #[test]
    fn time_may_have_one_unit() {
        for (text, expected) in [("off", 0), ("0", 0), ("90", 90), ("2h", 7200), ("1D", 86400), ("1m", 2_592_000)] {
            assert_eq!(seconds(OsStr::new(text)).unwrap(), expected, "{text}");
        }
        for text in ["OFF", "x", "1x", "-1", "1hh"] {
            assert!(seconds(OsStr::new(text)).unwrap_err().to_string().contains(text), "{text}");
        }
    }
}
