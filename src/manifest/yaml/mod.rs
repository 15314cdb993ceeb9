//! Parses YAML into a tree that keeps places, the order of mappings, and scalars as written (`12.10` is not `12.1`).
//! Size, depth and aliases are limited, so that a hostile manifest is an error.
//!
//! A syntax error whose cause is plain, such as a text that needs quotes, is reported and corrected in a copy of the text,
//! so that one run finds the mistakes after it too.
//!
//! | module | does |
//! |---|---|
//! | `tree` | the parser's events to a tree |
//! | `scalar` | the kinds of scalars |
//! | `syntax` | a syntax error in words, and its correction |
//! | `source` | the text, its lines, and corrections of it |

mod scalar;
mod source;
mod syntax;
mod tree;

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use super::problem::{Position, Problems};
use source::Source;
use syntax::Diagnosis;
use tree::Stop;

/// The longest manifest, in bytes. Real ones have a few dozen KiB at most.
pub(super) const MAX_LEN: u64 = 4 << 20;

/// How many syntax errors are reported at most. Each is one more pass over the text.
const MAX_SYNTAX_ERRORS: usize = 30;

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
    /// Something that was reported already.
    Broken,
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
            Value::Null | Value::Broken => "nothing".into(),
            Value::Scalar(Kind::Text, text) if text.len() > 100 => "a long text".into(),
            Value::Scalar(Kind::Text, text) => format!("the text {text:?}"),
            Value::Scalar(_, text) => text.chars().take(100).collect(),
            Value::List(_) => "a list".into(),
            Value::Mapping(_) => "a mapping".into(),
        }
    }
}

/// A parsed document.
#[derive(Debug)]
pub(super) struct Document {
    pub root: Node,
    /// Whether the whole text could be read. Otherwise the tree ends where it could not.
    pub is_complete: bool,
}

/// Parses one YAML document. Mistakes are added to `problems`. `None` if nothing of the text can be used.
pub(super) fn parse(text: &str, problems: &mut Problems) -> Option<Document> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut source = Source::new(text);
    if let Some((place, message)) = source.forbidden_character() {
        problems.add(place, message);
        return None;
    }
    let mut last_error = 0;
    let mut corrected = HashSet::new();
    for _ in 0..MAX_SYNTAX_ERRORS {
        let mut tree = tree::read(source.text());
        let error = match tree.stop.take() {
            Some(Stop::Syntax(error)) => error,
            Some(Stop::Limit(place, message)) => {
                problems.add(source.original(place), message);
                return None;
            }
            Some(Stop::SecondDocument(place)) => {
                let message = "a second YAML document begins; a manifest is a single one";
                problems.add(source.original(place), message);
                return finish(tree, true, &source, problems);
            }
            None => return finish(tree, true, &source, problems),
        };
        // What the correction of an earlier error led to is no mistake of the person who wrote the text.
        if error.offset <= last_error && corrected.contains(&source.position(error.offset).line) {
            return finish(tree, false, &source, problems);
        }
        let Diagnosis { place, message, correction } = syntax::diagnose(&source, &error, &tree);
        problems.add(source.original(place), message);
        let Some(correction) = correction else { return finish(tree, false, &source, problems) };
        last_error = error.offset;
        // Below a tab, the rest of the line is as it was.
        if !source.text()[correction.from..correction.to].contains('\t') {
            corrected.insert(source.position(correction.from).line);
        }
        source.correct(correction);
    }
    None
}

/// The tree with its places as they are in the text as written. The mistakes in it are added to `problems`.
fn finish(tree: tree::Tree, is_complete: bool, source: &Source, problems: &mut Problems) -> Option<Document> {
    if tree.root.is_none() && !is_complete {
        return None;
    }
    for (place, message) in tree.problems {
        problems.add(source.original(place), message);
    }
    let nothing = Node { place: Position { line: 1, column: 1 }, value: Value::Null };
    let mut root = tree.root.unwrap_or(nothing);
    if source.is_corrected() {
        restore_places(&mut root, source);
    }
    Some(Document { root, is_complete })
}

fn restore_places(node: &mut Node, source: &Source) {
    node.place = source.original(node.place);
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| restore_places(item, source)),
        Value::Mapping(entries) => entries.iter_mut().for_each(|(key, value)| {
            key.place = source.original(key.place);
            restore_places(value, source);
        }),
        Value::Null | Value::Broken | Value::Scalar(..) => {}
    }
}
