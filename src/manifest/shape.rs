//! Reads YAML nodes into Rust types and describes these types as JSON Schema, both from one declaration.
//! Serde's `Deserialize` would stop at the first mistake; here reading continues, so that people see all mistakes at once.

use std::borrow::Cow;
use std::collections::HashMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::problem::{Position, Problems, did_you_mean};
use super::yaml::{Key, Kind, Node, Value};

/// A type that can be read from a YAML node.
pub(super) trait Read: Sized {
    /// Reads `node`; `None` if it has the wrong shape, which was reported.
    fn read(node: &Node, problems: &mut Problems) -> Option<Self>;

    /// The value for a missing key; `None` if the key is required.
    fn absent() -> Option<Self> {
        None
    }
}

/// Reports that `node` is not what was expected.
pub(super) fn mismatch<T>(node: &Node, expected: &str, problems: &mut Problems) -> Option<T> {
    problems.add(node.place, format!("expected {expected}, found {}", node.what()));
    None
}

/// A text with its place. Numbers and booleans are texts as written: `12.10` stays `12.10`.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub value: String,
    pub place: Position,
}

impl Read for Text {
    fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::Scalar(_, text) => Some(Self { value: text.clone(), place: node.place }),
            _ => mismatch(node, "a text", problems),
        }
    }
}

impl JsonSchema for Text {
    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "number", "boolean"]})
    }
}

/// Any value with its place.
#[derive(Debug, Clone)]
pub(super) struct Placed<T> {
    pub value: T,
    pub place: Position,
}

impl<T: Read> Read for Placed<T> {
    fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        Some(Self { value: T::read(node, problems)?, place: node.place })
    }
}

impl<T: JsonSchema> JsonSchema for Placed<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A key that may be missing or, which is the same, have no value.
impl<T: Read> Read for Option<T> {
    fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        match node.value {
            Value::Null => Some(None),
            _ => T::read(node, problems).map(Some),
        }
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        let Value::List(items) = &node.value else { return mismatch(node, "a list", problems) };
        // Each item is read before any failure counts, so that all of them are reported.
        let read: Vec<_> = items.iter().map(|item| T::read(item, problems)).collect();
        read.into_iter().collect()
    }
}

impl Read for bool {
    fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::Scalar(Kind::Bool, text) => Some(text.eq_ignore_ascii_case("true")),
            _ => mismatch(node, "true or false", problems),
        }
    }
}

/// A whole number from `MIN` to `MAX`, inclusive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounded<const MIN: u32, const MAX: u32>(pub u32);

impl<const MIN: u32, const MAX: u32> Read for Bounded<MIN, MAX> {
    fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        let number = match &node.value {
            Value::Scalar(Kind::Number, text) => text.parse().ok().filter(|number| (MIN..=MAX).contains(number)),
            _ => None,
        };
        match number {
            Some(number) => Some(Self(number)),
            None => mismatch(node, &format!("a whole number from {MIN} to {MAX}"), problems),
        }
    }
}

impl<const MIN: u32, const MAX: u32> JsonSchema for Bounded<MIN, MAX> {
    fn schema_name() -> Cow<'static, str> {
        format!("From{MIN}To{MAX}").into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": MIN, "maximum": MAX})
    }
}

/// A value written as one of a few words.
pub(super) trait Words: Copy + 'static {
    const WORDS: &'static [(&'static str, Self)];
}

/// One of the words of `T`.
#[derive(Debug, Clone, Copy)]
pub(super) struct OneOf<T>(pub T);

impl<T: Words> Read for OneOf<T> {
    fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        let words = || T::WORDS.iter().map(|(word, _)| *word);
        let expected = words().collect::<Vec<_>>().join(", ");
        let Value::Scalar(Kind::Text, text) = &node.value else {
            return mismatch(node, &format!("one of {expected}"), problems);
        };
        let found = T::WORDS.iter().find(|(word, _)| word == text).map(|(_, value)| Self(*value));
        if found.is_none() {
            let hint = did_you_mean(text, words());
            problems.add(node.place, format!("expected one of {expected}, found {}{hint}", node.what()));
        }
        found
    }
}

impl<T: Words> JsonSchema for OneOf<T> {
    fn schema_name() -> Cow<'static, str> {
        std::any::type_name::<T>().rsplit("::").next().unwrap_or_default().to_owned().into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<_> = T::WORDS.iter().map(|(word, _)| *word).collect();
        json_schema!({"type": "string", "enum": words})
    }
}

/// A mapping whose keys the user chooses, such as variables and labels. It keeps their order.
#[derive(Debug, Clone)]
pub(super) struct Map<T>(pub Vec<(Key, T)>);

impl<T: Read> Read for Map<T> {
    fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        let Value::Mapping(entries) = &node.value else { return mismatch(node, "a mapping", problems) };
        let unique = report_repeated(entries, problems);
        let read: Vec<_> =
            entries.iter().map(|(key, value)| T::read(value, problems).map(|value| (key.clone(), value))).collect();
        read.into_iter().collect::<Option<_>>().filter(|_| unique).map(Self)
    }
}

impl<T: JsonSchema> JsonSchema for Map<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("MapOf{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "additionalProperties": generator.subschema_for::<T>()})
    }
}

/// Reports repeated keys. Returns true if there are none.
pub(super) fn report_repeated(entries: &[(Key, Node)], problems: &mut Problems) -> bool {
    let mut unique = true;
    let mut lines = HashMap::new();
    for (key, _) in entries {
        if let Some(line) = lines.get(key.text.as_str()) {
            unique = false;
            let message = format!("the key \"{}\" is repeated; it is first on line {line}", key.text);
            problems.add(key.place, message);
        } else {
            lines.insert(key.text.as_str(), key.place.line);
        }
    }
    unique
}

/// The entries of a mapping with known keys, to be taken one by one.
pub(super) struct Fields<'a, 'p, 'f> {
    place: Position,
    entries: &'a [(Key, Node)],
    known: Vec<&'static str>,
    pub problems: &'p mut Problems<'f>,
    complete: bool,
}

impl<'a, 'p, 'f> Fields<'a, 'p, 'f> {
    /// The entries of `node`, which must be a mapping without repeated keys.
    pub fn of(node: &'a Node, problems: &'p mut Problems<'f>) -> Option<Self> {
        let Value::Mapping(entries) = &node.value else { return mismatch(node, "a mapping", problems) };
        let complete = report_repeated(entries, problems);
        Some(Self { place: node.place, entries, known: Vec::new(), problems, complete })
    }

    /// The value of `key`; `None` if it is wrong or missing, which was reported.
    pub fn take<T: Read>(&mut self, key: &'static str) -> Option<T> {
        self.known.push(key);
        match self.entries.iter().find(|(entry, _)| entry.text == key) {
            Some((_, Node { value: Value::Null, place })) if T::absent().is_none() => {
                self.problems.add(*place, format!("the key \"{key}\" has no value"));
                None
            }
            Some((_, node)) => T::read(node, self.problems),
            None => T::absent().or_else(|| {
                let near = self.entries.iter().map(|(entry, _)| entry.text.as_str()).find(|text| near(text, key));
                // The misspelt key itself is reported as unknown, with this one as the suggestion.
                if near.is_none() {
                    self.problems.add(self.place, format!("the key \"{key}\" is missing"));
                }
                None
            }),
        }
    }

    /// Reports the entries with unknown keys. Returns true if all keys are known and none is repeated.
    pub fn finish(self) -> bool {
        let mut complete = self.complete;
        for (key, _) in self.entries {
            if !self.known.contains(&key.text.as_str()) {
                complete = false;
                let hint = match did_you_mean(&key.text, self.known.iter().copied()) {
                    hint if hint.is_empty() => format!("; the keys here are {}", self.known.join(", ")),
                    hint => hint,
                };
                self.problems.add(key.place, format!("unknown key \"{}\"{hint}", key.text));
            }
        }
        complete
    }
}

/// Whether an unknown key is probably a misspelling of `key`.
fn near(text: &str, key: &str) -> bool {
    !did_you_mean(text, [key]).is_empty()
}

/// Declares structs that are read from mappings: each field is a key, required unless its type is an `Option`.
/// The keys of a struct after `flatten` are keys of the one that contains it.
macro_rules! mappings {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$field_meta:meta])* pub $field:ident: $type:ty, )*
            $( flatten pub $flat:ident: $flat_type:ty, )?
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: $type, )*
            $( #[schemars(flatten)] pub $flat: $flat_type, )?
        }

        impl $name {
            /// Takes the struct's keys out of `fields`.
            fn take_from(fields: &mut $crate::manifest::shape::Fields) -> Option<Self> {
                // Every key is read before any failure counts, so that all of them are reported.
                $( let $field = fields.take(stringify!($field)); )*
                $( let $flat = <$flat_type>::take_from(fields); )?
                Some(Self { $( $field: $field?, )* $( $flat: $flat?, )? })
            }
        }

        impl $crate::manifest::shape::Read for $name {
            fn read(
                node: &$crate::manifest::yaml::Node,
                problems: &mut $crate::manifest::problem::Problems,
            ) -> Option<Self> {
                let mut fields = $crate::manifest::shape::Fields::of(node, problems)?;
                let taken = Self::take_from(&mut fields);
                if fields.finish() { taken } else { None }
            }
        }
    )*};
}
pub(super) use mappings;
