//! Reads YAML nodes into Rust types and describes these types as JSON Schema, both from one declaration.
//! Serde's `Deserialize` would stop at the first mistake; here reading continues, so that people see all mistakes at once.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::problem::{Position, Problems, did_you_mean, nearest};
use super::yaml::{Key, Kind, Node, Value};

/// A type that can be read from a YAML node.
///
/// Reading goes on after a mistake: what is returned then is what could be read, for checks of what it says.
pub(super) trait Read: Sized {
    /// Reads `node`. Mistakes are reported; `None` if nothing of it can be used.
    fn read(node: &Node, problems: &mut Problems) -> Option<Self>;

    /// The value for a missing key; `None` if the key is required.
    fn absent() -> Option<Self> {
        None
    }
}

/// Reports that `node` is not what was expected.
pub(super) fn mismatch<T>(node: &Node, expected: &str, problems: &mut Problems) -> Option<T> {
    match node.value {
        Value::Broken => problems.add_known(),
        _ => problems.add(node.place, format!("expected {expected}, found {}", node.what())),
    }
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
            Value::Mapping(entries) => match &entries[..] {
                // `{arch}` without quotes.
                [(Key { text, .. }, Node { value: Value::Null, .. })] => {
                    let message = format!(
                        "expected a text, found a mapping; an unquoted \"{{\" begins one, so quote the text: \"{{{text}}}\""
                    );
                    problems.add(node.place, message);
                    None
                }
                _ => mismatch(node, "a text", problems),
            },
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

/// A required key. It is `None` if its value has a mistake, which was reported.
#[derive(Debug, Clone)]
pub(super) struct Required<T>(pub Option<T>);

impl<T> Default for Required<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Read> Read for Required<T> {
    fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        T::read(node, problems).map(|value| Self(Some(value)))
    }
}

impl<T: JsonSchema> JsonSchema for Required<T> {
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

/// The items that could be read.
impl<T: Read> Read for Vec<T> {
    fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::List(items) => Some(items.iter().filter_map(|item| T::read(item, problems)).collect()),
            Value::Scalar(Kind::Text, text) if text.starts_with('-') => {
                let what = node.what();
                let message = format!("expected a list, found {what}; write a space after the \"-\" of each entry");
                problems.add(node.place, message);
                None
            }
            Value::Scalar(_, text) if !text.is_empty() && text.len() < 100 && !text.contains(['\n', ',']) => {
                let is_plain =
                    text.chars().all(|c| c.is_alphanumeric() || "-_./+~ ".contains(c)) || text.contains("://");
                let quoted = format!("'{}'", text.replace('\'', "''"));
                let item = if is_plain && !text.contains(['{', '}', '[', ']', '#']) { text } else { &quoted };
                let message = format!("expected a list, found {}; write it as a list: [{item}]", node.what());
                problems.add(node.place, message);
                // What was meant, for its other mistakes.
                let count = problems.count();
                let item = T::read(node, problems);
                if item.is_none() {
                    problems.take_since(count);
                }
                Some(item.into_iter().collect())
            }
            Value::Mapping(_) => {
                let message = "expected a list, found a mapping; write it as a list, with \"- \" before its first key";
                problems.add(node.place, message);
                Some(T::read(node, problems).into_iter().collect())
            }
            _ => mismatch(node, "a list", problems),
        }
    }
}

impl Read for bool {
    fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::Scalar(Kind::Bool, text) => Some(text.eq_ignore_ascii_case("true")),
            Value::Scalar(Kind::Text, text) => {
                let meant = match text.to_ascii_lowercase().as_str() {
                    "yes" | "on" | "y" => "; write true",
                    "no" | "off" | "n" => "; write false",
                    "true" | "false" => "; write it without quotes",
                    _ => "",
                };
                problems.add(node.place, format!("expected true or false, found {}{meant}", node.what()));
                None
            }
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
            Value::Scalar(Kind::Number, text) if text.len() > 1 && text.starts_with('0') => {
                let message = format!(
                    "expected a whole number from {MIN} to {MAX}, found {}; write it in decimal, without zeros before it",
                    node.what()
                );
                problems.add(node.place, message);
                return None;
            }
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

/// A mapping whose keys the user chooses, such as variables and labels. It keeps their order, and keys whose values have
/// mistakes.
#[derive(Debug, Clone)]
pub(super) struct Map<T>(pub Vec<(Key, Option<T>)>);

impl<T: Read> Read for Map<T> {
    fn read(node: &Node, problems: &mut Problems) -> Option<Self> {
        let Value::Mapping(entries) = &node.value else { return mismatch(node, "a mapping", problems) };
        let repeated = report_repeated(entries, problems);
        // All values are read, so that the mistakes in repeated ones are reported too.
        let read: Vec<_> = entries.iter().map(|(key, value)| (key.clone(), T::read(value, problems))).collect();
        let first = read.into_iter().enumerate().filter(|(number, _)| !repeated.contains(number));
        Some(Self(first.map(|(_, entry)| entry).collect()))
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

/// Reports repeated keys. Returns the numbers of the entries that repeat one.
pub(super) fn report_repeated(entries: &[(Key, Node)], problems: &mut Problems) -> HashSet<usize> {
    let mut repeated = HashSet::new();
    let mut lines = HashMap::new();
    for (number, (key, _)) in entries.iter().enumerate() {
        if let Some(line) = lines.get(key.text.as_str()) {
            repeated.insert(number);
            let message = format!("the key \"{}\" is repeated; it is first on line {line}", key.text);
            problems.add(key.place, message);
        } else {
            lines.insert(key.text.as_str(), key.place.line);
        }
    }
    repeated
}

/// The entries of a mapping with known keys, to be taken one by one.
pub(super) struct Fields<'a, 'p, 'f> {
    place: Position,
    entries: &'a [(Key, Node)],
    /// The keys that there may be.
    known: Vec<&'static str>,
    pub problems: &'p mut Problems<'f>,
    /// The keys that have mistakes, or are missing although they are required.
    pub broken: Vec<&'static str>,
    /// Whether keys are missing because the rest of the text could not be read.
    is_cut: bool,
}

impl<'a, 'p, 'f> Fields<'a, 'p, 'f> {
    /// The entries of `node`, which must be a mapping. Of repeated keys, the first is taken.
    pub fn of(node: &'a Node, known: Vec<&'static str>, problems: &'p mut Problems<'f>) -> Option<Self> {
        let Value::Mapping(entries) = &node.value else {
            let Value::Scalar(_, text) = &node.value else { return mismatch(node, "a mapping", problems) };
            let Some(meant) = meant_entry(text, &known) else { return mismatch(node, "a mapping", problems) };
            problems.add(node.place, format!("expected a mapping, found {}; write {meant}", node.what()));
            return None;
        };
        report_repeated(entries, problems);
        let is_cut = problems.is_cut;
        Some(Self { place: node.place, entries, known, problems, broken: Vec::new(), is_cut })
    }

    /// The value of `key`; `None` if nothing of it can be used, or if it is required and missing, which was reported.
    pub fn take<T: Read>(&mut self, key: &'static str) -> Option<T> {
        let met = self.problems.met();
        let mut of_key = self.entries.iter().filter(|(entry, _)| entry.text == key);
        let first = of_key.next();
        let read = |node: &Node, problems: &mut Problems| match node {
            Node { value: Value::Null, place } if T::absent().is_none() => {
                problems.add(*place, format!("the key \"{key}\" has no value"));
                None
            }
            node => T::read(node, problems),
        };
        let taken = if let Some((_, node)) = first {
            read(node, self.problems)
        } else if let Some((_, node)) = self.entries.iter().find(|(entry, _)| self.is_meant(&entry.text, key)) {
            // The misspelt key itself is reported as unknown, with this one as the suggestion.
            self.problems.add_known();
            read(node, self.problems)
        } else {
            T::absent().or_else(|| {
                match self.is_cut {
                    true => self.problems.add_known(),
                    false => self.problems.add(self.place, format!("the key \"{key}\" is missing")),
                }
                None
            })
        };
        // The values of repeated keys have mistakes too.
        of_key.for_each(|(_, node)| drop(read(node, self.problems)));
        if self.problems.met() != met {
            self.broken.push(key);
        }
        taken
    }

    /// Whether `text` is none of the keys, and a misspelling of this one.
    fn is_meant(&self, text: &str, key: &str) -> bool {
        !self.known.contains(&text) && nearest(text, self.known.iter().copied()) == Some(key)
    }

    /// Reports the entries with unknown keys. Those that begin with `prefix`, if there is one, may be there.
    pub fn finish(self, prefix: Option<&str>) {
        for (key, _) in self.entries {
            let is_free = prefix.is_some_and(|prefix| key.text.starts_with(prefix));
            if !is_free && !self.known.contains(&key.text.as_str()) {
                let message = match key.text.strip_prefix('-') {
                    Some(bare) if self.known.contains(&bare) => {
                        Some(format!("unknown key \"{}\"; write a space after the \"-\": - {bare}", key.text))
                    }
                    // They are part of the key for YAML.
                    None if key.text.starts_with(char::is_whitespace) => {
                        let shown = visible_spaces(&key.text);
                        Some(format!("unknown key \"{shown}\"; indent with ordinary spaces, which are U+0020"))
                    }
                    _ => None,
                };
                if let Some(message) = message {
                    self.problems.add(key.place, message);
                    continue;
                }
                let hint = match did_you_mean(&key.text, self.known.iter().copied()) {
                    hint if hint.is_empty() => format!("; the keys here are {}", self.known.join(", ")),
                    hint => hint,
                };
                self.problems.add(key.place, format!("unknown key \"{}\"{hint}", key.text));
            }
        }
    }
}

/// The entry of a mapping that a text was probably meant as: `path:a.iso`, `path = a.iso` or `path a.iso`.
fn meant_entry(text: &str, known: &[&'static str]) -> Option<String> {
    let (key, rest) = text.split_at(text.find([':', '=', ' '])?);
    let value = rest.trim_start_matches([':', '=', ' ']);
    (known.contains(&key) && !value.is_empty()).then(|| match rest.starts_with(':') {
        true => format!("a space after the colon: {key}: {value}"),
        false => format!("a colon after the key: {key}: {value}"),
    })
}

/// The text with its characters that only look like a space, such as U+00A0, by number.
fn visible_spaces(text: &str) -> String {
    let shown = |c: char| match c.is_whitespace() && c != ' ' {
        true => format!("U+{:04X} ", u32::from(c)),
        false => c.to_string(),
    };
    text.chars().map(shown).collect()
}

/// Declares structs that are read from mappings: each field is a key, of type `Required` or `Option`.
/// The keys of a struct after `flatten` are keys of the one that contains it. Keys that begin with the text after `free`
/// may have any value.
macro_rules! mappings {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( free $prefix:literal; )?
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
            /// The keys that have mistakes.
            #[schemars(skip)]
            pub broken: Vec<&'static str>,
        }

        impl $name {
            /// The struct's keys.
            fn keys() -> Vec<&'static str> {
                #[allow(unused_mut, reason = "not all structs contain another")]
                let mut keys = vec![$( stringify!($field) ),*];
                $( keys.extend(<$flat_type>::keys()); )?
                keys
            }

            /// Takes the struct's keys out of `fields`.
            fn take_from(fields: &mut $crate::manifest::shape::Fields) -> Self {
                $( let $field = fields.take(stringify!($field)).unwrap_or_default(); )*
                let broken = std::mem::take(&mut fields.broken);
                $( let $flat = <$flat_type>::take_from(fields); )?
                Self { $( $field, )* $( $flat, )? broken }
            }

            /// Whether this key has a mistake.
            #[allow(dead_code, reason = "not all structs have keys on which others depend")]
            pub fn is_broken(&self, key: &str) -> bool {
                self.broken.contains(&key)
            }
        }

        impl $crate::manifest::shape::Read for $name {
            fn read(
                node: &$crate::manifest::yaml::Node,
                problems: &mut $crate::manifest::problem::Problems,
            ) -> Option<Self> {
                let mut fields = $crate::manifest::shape::Fields::of(node, Self::keys(), problems)?;
                let taken = Self::take_from(&mut fields);
                let prefix: Option<&str> = None;
                $( let prefix = prefix.or(Some($prefix)); )?
                fields.finish(prefix);
                Some(taken)
            }
        }
    )*};
}
pub(super) use mappings;
