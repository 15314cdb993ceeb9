//! Parses YAML into a tree that keeps what serde's data model drops: places, the order of mappings, and scalars as written
//! (`12.10` is not `12.1`). Size, depth and aliases are limited, so that a hostile manifest is an error.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde_yaml::{DuplicateKeyPolicy, Spanned};

use super::problem::{Position, Problems};

/// The longest manifest, in bytes. Real ones have a few dozen KiB at most.
pub(super) const MAX_LEN: u64 = 4 << 20;

/// A YAML node and its place; for an alias, the place where it is used.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub place: Position,
    pub value: Value,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    /// The scalar's kind by YAML's rules, and its text.
    Scalar(Kind, String),
    List(Vec<Node>),
    /// In the order of the file, repeated keys included.
    Mapping(Vec<(Key, Node)>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Bool,
    Number,
}

/// A mapping's key.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub place: Position,
    pub text: String,
}

impl Node {
    /// A description for messages.
    pub fn what(&self) -> String {
        match &self.value {
            Value::Null => "nothing".into(),
            Value::Scalar(Kind::Text, text) if text.len() > 100 => "a long text".into(),
            Value::Scalar(Kind::Text, text) => format!("the text {text:?}"),
            Value::Scalar(_, text) => text.chars().take(100).collect(),
            Value::List(_) => "a list".into(),
            Value::Mapping(_) => "a mapping".into(),
        }
    }
}

/// Parses one YAML document. The first syntax error is added to `problems`.
pub(super) fn parse(text: &str, problems: &mut Problems) -> Option<Node> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let options = serde_yaml::options! {
        // The readers of mappings report repeated keys: all of them, with name and place.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        // `no` and `on` are text, as in YAML 1.2.
        strict_booleans: true,
        with_snippet: false,
    };
    match serde_yaml::from_str_with_options::<Spanned<Untyped>>(text, options) {
        Ok(untyped) => Some(untyped.into_node(text)),
        Err(error) => {
            let place = error.location().map(place_of).filter(|place| place.line > 0);
            problems.add(place, describe(&error));
            None
        }
    }
}

/// The error's text on one line, without the position at its end.
fn describe(error: &serde_yaml::Error) -> String {
    let text = error.to_string();
    let text = text.lines().next().unwrap_or_default();
    let text = text.split(" at line ").next().unwrap_or(text);
    if text.contains("budget breached") {
        return "the manifest is too large or too deep, or its aliases multiply".into();
    }
    if matches!(error.without_snippet(), serde_yaml::Error::MultipleDocuments { .. }) {
        return "a second YAML document begins; a manifest is a single one".into();
    }
    format!("not valid YAML: {text}")
}

fn place_of(location: serde_yaml::Location) -> Position {
    Position { line: location.line(), column: location.column() }
}

/// A node as serde returns it. A scalar that is not a text has the text of its parsed value.
enum Untyped {
    Null,
    Text(String),
    Plain(Kind, String),
    List(Vec<Spanned<Untyped>>),
    Mapping(Vec<(Spanned<String>, Spanned<Untyped>)>),
}

trait IntoNode {
    fn into_node(self, source: &str) -> Node;
}

impl IntoNode for Spanned<Untyped> {
    fn into_node(self, source: &str) -> Node {
        let written = || {
            let span = self.defined.span();
            let start = usize::try_from(span.byte_offset()?).ok()?;
            let len = usize::try_from(span.byte_len()?).ok()?;
            source.get(start..start.checked_add(len)?).map(|text| text.trim().to_owned())
        };
        let value = match self.value {
            Untyped::Null => Value::Null,
            Untyped::Text(text) => Value::Scalar(Kind::Text, text),
            Untyped::Plain(kind, taken_for) => Value::Scalar(kind, written().unwrap_or(taken_for)),
            Untyped::List(items) => Value::List(items.into_iter().map(|item| item.into_node(source)).collect()),
            Untyped::Mapping(entries) => Value::Mapping(
                entries
                    .into_iter()
                    .map(|(key, value)| {
                        (Key { place: place_of(key.referenced), text: key.value }, value.into_node(source))
                    })
                    .collect(),
            ),
        };
        Node { place: place_of(self.referenced), value }
    }
}

impl<'de> Deserialize<'de> for Untyped {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UntypedVisitor)
    }
}

struct UntypedVisitor;

impl<'de> Visitor<'de> for UntypedVisitor {
    type Value = Untyped;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_unit<E>(self) -> Result<Untyped, E> {
        Ok(Untyped::Null)
    }

    fn visit_none<E>(self) -> Result<Untyped, E> {
        Ok(Untyped::Null)
    }

    fn visit_str<E>(self, text: &str) -> Result<Untyped, E> {
        Ok(Untyped::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Untyped, E> {
        Ok(Untyped::Plain(Kind::Bool, value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Untyped, E> {
        Ok(Untyped::Plain(Kind::Number, value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Untyped, E> {
        Ok(Untyped::Plain(Kind::Number, value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Untyped, E> {
        Ok(Untyped::Plain(Kind::Number, value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Untyped, E> {
        Ok(Untyped::Plain(Kind::Number, value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Untyped, E> {
        Ok(Untyped::Plain(Kind::Number, value.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Untyped, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Untyped::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Untyped, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Untyped::Mapping(entries))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn tree(text: &str) -> Node {
        let mut problems = Problems::new(Path::new("m.yaml"));
        parse(text, &mut problems).unwrap_or_else(|| panic!("{}", problems.into_errors()))
    }

    fn message(text: &str) -> String {
        let mut problems = Problems::new(Path::new("m.yaml"));
        assert!(parse(text, &mut problems).is_none());
        problems.into_errors().to_string()
    }

    fn scalars(text: &str) -> Vec<(Kind, String)> {
        let Value::Mapping(entries) = tree(text).value else { panic!("no mapping") };
        entries
            .into_iter()
            .map(|(_, node)| match node.value {
                Value::Scalar(kind, text) => (kind, text),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn scalars_keep_their_text_as_written() {
        use Kind::*;
        let found = scalars(
            "\u{feff}é: 1\na: 12.10\nb: 12.9.0\nc: true\nd: 0x10   # sixteen\ne: '12.10'\nf: &n 1_000\ng: *n\nh: 1e3\ni: no\nj: !!str 7.0\n",
        );
        let expected = [
            (Number, "1"),
            (Number, "12.10"),
            (Text, "12.9.0"),
            (Bool, "true"),
            (Number, "0x10"),
            (Text, "12.10"),
            (Number, "1_000"),
            (Number, "1_000"),
            (Number, "1e3"),
            (Text, "no"),
            (Text, "7.0"),
        ];
        assert_eq!(found, expected.map(|(kind, text)| (kind, text.to_owned())));
    }

    #[test]
    fn mappings_keep_their_order_and_places() {
        let Value::Mapping(entries) = tree("---\nz: 1\na:\n  - x\n").value else { panic!("no mapping") };
        assert_eq!(entries[0].0.text, "z");
        assert_eq!(entries[1].0.place, Position { line: 3, column: 1 });
        let Value::List(items) = &entries[1].1.value else { panic!("no list") };
        assert_eq!(items[0].place, Position { line: 4, column: 5 });
    }

    #[test]
    fn merge_keys_and_aliases_work() {
        let Value::Mapping(entries) = tree("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n").value else { panic!() };
        let Value::Mapping(merged) = &entries[1].1.value else { panic!("no mapping") };
        let mut keys: Vec<_> = merged.iter().map(|(key, value)| (key.text.as_str(), value.what())).collect();
        keys.sort();
        assert_eq!(keys, [("x", "1".to_owned()), ("y", "3".to_owned())]);
    }

    #[test]
    fn aliases_that_multiply_are_an_error() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let uses = vec![format!("*a{}", level - 1); 10].join(", ");
            text += &format!("a{level}: &a{level} [{uses}]\n");
        }
        assert_eq!(message(&text), "m.yaml:6:15: the manifest is too large or too deep, or its aliases multiply");
    }

    #[test]
    fn deep_nesting_is_an_error() {
        assert_eq!(message(&"[".repeat(100_000)), "m.yaml:1:256: not valid YAML: recursion limit exceeded");
        let deep: String = (0..5000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        assert_eq!(message(&deep), "m.yaml:65:65: the manifest is too large or too deep, or its aliases multiply");
    }

    #[test]
    fn broken_yaml_is_reported_with_its_place() {
        let texts = ["a: [1, 2\nb: 3\n", "a: 1\n---\nb: 1\n", "a: *b\n", "a: \"x\n", "a: !!int x\n"];
        let expected = [
            "m.yaml:2:2: not valid YAML: illegal placement of ':' indicator",
            "m.yaml:3:1: a second YAML document begins; a manifest is a single one",
            "m.yaml:1:4: not valid YAML: alias references unknown anchor",
            "m.yaml:1:4: not valid YAML: unclosed quote",
            "m.yaml:1:10: not valid YAML: invalid u64",
        ];
        assert_eq!(texts.map(message), expected);
    }
}
