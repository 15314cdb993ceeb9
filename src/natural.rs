//! The order in which people read names: numbers by their values, so that `DVD-2` comes before `DVD-10`.

use std::cmp::Ordering;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Compares two paths, directory by directory. Runs of digits are compared as numbers, all else by bytes. Only equal
/// paths are equal: of `1` and `01`, the shorter one comes first.
pub fn compare(one: &Path, other: &Path) -> Ordering {
    let components = one.components().zip(other.components());
    let mut differing =
        components.map(|(one, other)| compare_names(one.as_os_str().as_bytes(), other.as_os_str().as_bytes()));
    let first = differing.find(|order| order.is_ne()).unwrap_or(Ordering::Equal);
    first.then_with(|| one.components().count().cmp(&other.components().count())).then_with(|| one.cmp(other))
}

fn compare_names(one: &[u8], other: &[u8]) -> Ordering {
    let (mut left, mut right) = (one, other);
    while let (Some(&a), Some(&b)) = (left.first(), right.first()) {
        let order = if a.is_ascii_digit() && b.is_ascii_digit() {
            compare_numbers(take_digits(&mut left), take_digits(&mut right))
        } else {
            (left, right) = (&left[1..], &right[1..]);
            a.cmp(&b)
        };
        if order.is_ne() {
            return order;
        }
    }
    left.len().cmp(&right.len()).then_with(|| one.len().cmp(&other.len())).then_with(|| one.cmp(other))
}

/// Removes the digits with which the text begins, and returns them.
fn take_digits<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    digits
}

/// Numbers may be longer than any integer.
fn compare_numbers(one: &[u8], other: &[u8]) -> Ordering {
    let value = |digits: &'_ [u8]| digits.iter().position(|&digit| digit != b'0').unwrap_or(digits.len());
    let (one, other) = (&one[value(one)..], &other[value(other)..]);
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sorted(mut names: Vec<&str>) -> Vec<&str> {
        names.sort_by(|one, other| compare(Path::new(one), Path::new(other)));
        names
    }

    #[test]
    fn numbers_are_ordered_by_value() {
        let names = vec!["DVD-1.iso", "DVD-2.iso", "DVD-9.iso", "DVD-10.iso", "DVD-11.iso", "DVD-100.iso"];
        assert_eq!(sorted(names.iter().rev().copied().collect()), names);
        let versions = vec!["debian-9.13.0", "debian-12.9.0", "debian-12.10.0", "debian-testing"];
        assert_eq!(sorted(versions.iter().rev().copied().collect()), versions);
        let long = vec!["99999999999999999999998", "99999999999999999999999", "100000000000000000000000"];
        assert_eq!(sorted(long.iter().rev().copied().collect()), long);
    }

    #[test]
    fn directories_are_compared_one_by_one() {
        let paths = vec!["a/1", "a/2/z", "a/10", "a-b/1", "b2/x", "b10/x"];
        assert_eq!(sorted(paths.iter().rev().copied().collect()), paths);
        assert_eq!(sorted(vec!["x01", "x1", "x001", "x"]), ["x", "x1", "x01", "x001"]);
    }

    proptest! {
        #[test]
        fn it_is_an_order(one in "[a-z0-9/.]{0,8}", two in "[a-z0-9/.]{0,8}", three in "[a-z0-9/.]{0,8}") {
            let [one, two, three] = [Path::new(&one), Path::new(&two), Path::new(&three)];
            prop_assert_eq!(compare(one, two), compare(two, one).reverse());
            prop_assert_eq!(compare(one, two).is_eq(), one == two);
            if compare(one, two).is_le() && compare(two, three).is_le() {
                prop_assert!(compare(one, three).is_le());
            }
        }
    }
}
