//! The parser's events to a tree: anchors and merge keys resolved, tags checked, the place of everything kept.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use granit_parser::{ErrorKind, Event, Marker, Options, Parser, ScalarStyle, Span, StructureStyle, Tag};

use super::super::problem::{Position, did_you_mean};
use super::{Key, Kind, Node, Value, scalar};

/// How many nodes, and how many bytes of text, aliases may add to a manifest.
const MAX_ALIASED_NODES: usize = 100_000;
const MAX_ALIASED_BYTES: usize = 8 << 20;

/// How deep lists and mappings may be nested, aliases included.
const MAX_DEPTH: usize = 64;

/// What was read of a text.
pub(super) struct Tree {
    pub root: Option<Node>,
    /// What is wrong with single nodes.
    pub problems: Vec<(Position, String)>,
    /// Why reading stopped before the end.
    pub stop: Option<Stop>,
    /// The collections that were open then, outermost first.
    pub open: Vec<OpenCollection>,
    /// The node that was read last, and its bytes.
    pub last: Option<LastNode>,
}

/// Why reading stops.
pub(super) enum Stop {
    Syntax(SyntaxError),
    Limit(Position, String),
    SecondDocument(Position),
}

/// A syntax error, as the parser reports it.
pub(super) struct SyntaxError {
    pub kind: ErrorKind,
    /// The byte at which it was noticed.
    pub offset: usize,
}

/// A list or mapping that is not closed.
pub(super) struct OpenCollection {
    /// Whether it is written in brackets or braces.
    pub is_flow: bool,
    pub is_list: bool,
    pub start: usize,
    pub place: Position,
}

/// The node that was read last.
pub(super) struct LastNode {
    pub start: usize,
    pub end: usize,
    pub is_quoted: bool,
}

/// Reads a text as far as it goes.
pub(super) fn read(text: &str) -> Tree {
    let mut options = Options::default();
    options.emit_unresolved_aliases = true;
    options.emit_anchor_events = true;
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    options.set_emit_comments(false);
    let mut builder = Builder { text, ..Builder::default() };
    let mut stop = None;
    for event in Parser::new_from_str_with_options(text, options) {
        let added = match event {
            Ok((event, span)) => builder.add(event, span),
            Err(error) => Err(builder.failed(error.kind(), *error.marker())),
        };
        if let Err(reason) = added {
            stop = Some(reason);
            break;
        }
    }
    builder.finish(stop)
}

#[derive(Default)]
struct Builder<'t> {
    text: &'t str,
    root: Option<Node>,
    stack: Vec<Open>,
    anchors: HashMap<usize, (Node, Size)>,
    names: HashMap<String, usize>,
    problems: Vec<(Position, String)>,
    documents: usize,
    aliased: Size,
    last: Option<LastNode>,
}

/// A collection that is being read.
struct Open {
    collection: OpenCollection,
    anchor: usize,
    items: Items,
}

enum Items {
    List(Vec<Node>),
    /// The entries, and a key that waits for its value.
    Mapping(Vec<(Key, Node)>, Option<Key>),
}

/// How much an alias adds.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
    depth: usize,
}

fn place_of(marker: Marker) -> Position {
    Position { line: marker.line() as u64, column: marker.col() as u64 + 1 }
}

fn offset_of(marker: Marker) -> usize {
    marker.byte_offset().unwrap_or_default()
}

impl Builder<'_> {
    fn failed(&self, kind: &ErrorKind, marker: Marker) -> Stop {
        match kind {
            ErrorKind::RecursionLimitExceeded => Stop::Limit(place_of(marker), too_deep()),
            kind => Stop::Syntax(SyntaxError { kind: kind.clone(), offset: offset_of(marker).min(self.text.len()) }),
        }
    }

    fn add(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        let place = place_of(span.start);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Stop::SecondDocument(place));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_quoted = !matches!(style, ScalarStyle::Plain);
                self.last = Some(LastNode { start: offset_of(span.start), end: offset_of(span.end), is_quoted });
                let tag_place = span.tag_start().map_or(place, place_of);
                let value = self.scalar(&text, style, tag.as_deref(), tag_place);
                self.complete(Node { place, value }, anchor);
            }
            Event::SequenceStart(style, anchor, tag) => self.open(true, style, anchor, tag, span)?,
            Event::MappingStart(style, anchor, tag) => self.open(false, style, anchor, tag, span)?,
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Anchor(id, name) => self.anchor(id, &name, span),
            Event::Alias(id) => self.alias(id, span)?,
            Event::UnresolvedAlias(name) => self.unresolved(&name, span),
            _ => {}
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, place: Position) -> Value {
        let is_plain = matches!(style, ScalarStyle::Plain);
        let value = match is_plain {
            true => scalar::plain(text),
            false => Value::Scalar(Kind::Text, text.to_owned()),
        };
        let Some(tag) = tag else { return value };
        if self.is_free() {
            return value;
        }
        if !tag.is_yaml_core_schema() {
            let text = format!("{}{}{text}", tag.original(), if text.is_empty() { "" } else { " " });
            self.problems.push((place, unknown_tag(&tag.original(), &text)));
            return Value::Broken;
        }
        let fits = |value: &Value| match (tag.suffix(), value) {
            ("null", Value::Null)
            | ("bool", Value::Scalar(Kind::Bool, _))
            | ("float", Value::Scalar(Kind::Number, _)) => true,
            ("int", Value::Scalar(Kind::Number, text)) => text.parse::<i128>().is_ok(),
            _ => false,
        };
        match tag.suffix() {
            "str" => Value::Scalar(Kind::Text, text.to_owned()),
            _ if fits(&value) => value,
            _ if fits(&scalar::plain(text)) => scalar::plain(text),
            _ => {
                self.problems.push((place, format!("{text:?} is not what its tag {} says", tag.original())));
                Value::Broken
            }
        }
    }

    fn open(
        &mut self,
        is_list: bool,
        style: StructureStyle,
        anchor: usize,
        tag: Option<Cow<'_, Tag>>,
        span: Span,
    ) -> Result<(), Stop> {
        let place = place_of(span.start);
        if self.stack.len() >= MAX_DEPTH {
            return Err(Stop::Limit(place, too_deep()));
        }
        let expected = if is_list { "seq" } else { "map" };
        if let Some(tag) = tag.filter(|tag| !self.is_free() && !tag.is_yaml_core_schema_tag(expected)) {
            let place = span.tag_start().map_or(place, place_of);
            self.problems.push((place, unknown_tag(&tag.original(), &tag.original())));
        }
        let is_flow = matches!(style, StructureStyle::Flow);
        let collection = OpenCollection { is_flow, is_list, start: offset_of(span.start), place };
        let items = if is_list { Items::List(Vec::new()) } else { Items::Mapping(Vec::new(), None) };
        self.stack.push(Open { collection, anchor, items });
        Ok(())
    }

    fn close(&mut self, span: Span) {
        let Some(open) = self.stack.pop() else { return };
        if open.collection.is_flow {
            self.last = Some(LastNode { start: open.collection.start, end: offset_of(span.end), is_quoted: false });
        }
        let value = match open.items {
            Items::List(items) => Value::List(items),
            Items::Mapping(entries, _) => Value::Mapping(self.merged(entries)),
        };
        self.complete(Node { place: open.collection.place, value }, open.anchor);
    }

    /// Whether this belongs to a key at the top that may have any value.
    fn is_free(&self) -> bool {
        let top = self.stack.first().map(|open| &open.items);
        matches!(top, Some(Items::Mapping(_, Some(key))) if key.text.starts_with("x-"))
    }

    /// Adds a complete node to what contains it.
    fn complete(&mut self, node: Node, anchor: usize) {
        if anchor != 0 {
            let size = Size::of(&node);
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let is_free = self.is_free();
        match self.stack.last_mut().map(|open| &mut open.items) {
            None => self.root = Some(node),
            Some(Items::List(items)) => items.push(node),
            Some(Items::Mapping(_, waiting @ None)) => {
                let place = node.place;
                let text = match node.value {
                    Value::Scalar(_, text) => text,
                    Value::Null => "null".to_owned(),
                    Value::Broken => String::new(),
                    Value::List(_) | Value::Mapping(_) if is_free => String::new(),
                    Value::List(_) | Value::Mapping(_) => {
                        let message = format!("expected a key, found {}; a key is a text", node.what());
                        self.problems.push((place, message));
                        String::new()
                    }
                };
                *waiting = Some(Key { place, text });
            }
            Some(Items::Mapping(entries, waiting)) => {
                let key = waiting.take().expect("a value follows its key");
                // A key that is none was reported.
                if !key.text.is_empty() {
                    entries.push((key, node));
                }
            }
        }
    }

    /// Remembers an anchor's name. An empty text with an anchor was meant as a text that begins with `&`.
    fn anchor(&mut self, id: usize, name: &str, span: Span) {
        self.names.insert(name.to_owned(), id);
        let is_empty = self.anchors.get(&id).is_some_and(|(node, _)| matches!(node.value, Value::Null));
        if is_empty && self.last.as_ref().is_some_and(|last| last.start == last.end) {
            let message =
                format!("\"&{name}\" is an anchor without a value; to begin a text with \"&\", quote it: \"&{name}\"");
            self.problems.push((place_of(span.start), message));
            self.break_last();
        }
    }

    /// Replaces the node that was added last by one that is known to be broken.
    fn break_last(&mut self) {
        let last = match self.stack.last_mut().map(|open| &mut open.items) {
            None => self.root.as_mut(),
            Some(Items::List(items)) => items.last_mut(),
            Some(Items::Mapping(entries, _)) => entries.last_mut().map(|(_, node)| node),
        };
        if let Some(node) = last {
            node.value = Value::Broken;
        }
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<(), Stop> {
        let place = place_of(span.start);
        self.last = Some(LastNode { start: offset_of(span.start), end: offset_of(span.end), is_quoted: false });
        let Some((node, size)) = self.anchors.get(&id) else {
            self.problems.push((place, "an alias may not be inside the value of its own anchor".to_owned()));
            self.complete(Node { place, value: Value::Broken }, 0);
            return Ok(());
        };
        self.aliased.nodes += size.nodes;
        self.aliased.bytes += size.bytes;
        if self.aliased.nodes > MAX_ALIASED_NODES || self.aliased.bytes > MAX_ALIASED_BYTES {
            return Err(Stop::Limit(place, "the manifest is too large, because its aliases multiply".to_owned()));
        }
        if self.stack.len() + size.depth > MAX_DEPTH {
            return Err(Stop::Limit(place, too_deep()));
        }
        let node = Node { place, value: node.value.clone() };
        self.complete(node, 0);
        Ok(())
    }

    /// An alias without an anchor is nearly always a text that begins with `*`.
    fn unresolved(&mut self, name: &str, span: Span) {
        let place = place_of(span.start);
        self.last = Some(LastNode { start: offset_of(span.start), end: offset_of(span.end), is_quoted: false });
        let is_merged = matches!(
            self.stack.last().map(|open| &open.items),
            Some(Items::Mapping(_, Some(Key { text, .. }))) if text == "<<"
        );
        let hint = did_you_mean(name, self.names.keys().map(String::as_str));
        let value = if is_merged || !hint.is_empty() {
            let hint = if hint.is_empty() { "; define it above as &".to_owned() + name } else { hint };
            self.problems.push((place, format!("the anchor \"{name}\" is not defined{hint}")));
            Value::Broken
        } else {
            let message = format!(
                "an unquoted \"*\" refers to an anchor, and there is none called {name:?}; to begin a text with \"*\", \
                 quote it: \"*{name}\""
            );
            self.problems.push((place, message));
            // What was meant, so that its other mistakes are found too.
            Value::Scalar(Kind::Text, format!("*{name}"))
        };
        self.complete(Node { place, value }, 0);
    }

    /// The entries with those of merge keys, which give way to the mapping's own.
    fn merged(&mut self, entries: Vec<(Key, Node)>) -> Vec<(Key, Node)> {
        if entries.iter().all(|(key, _)| key.text != "<<") {
            return entries;
        }
        let (merges, mut merged): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(key, _)| key.text == "<<");
        let mut known: HashSet<String> = merged.iter().map(|(key, _)| key.text.clone()).collect();
        for (_, node) in merges {
            let sources = match node.value {
                Value::List(items) => items,
                _ => vec![node],
            };
            for source in sources {
                match source.value {
                    Value::Mapping(entries) => {
                        for (key, value) in entries {
                            if known.insert(key.text.clone()) {
                                merged.push((key, value));
                            }
                        }
                    }
                    Value::Broken => {}
                    _ => {
                        let what = source.what();
                        self.problems.push((source.place, format!("\"<<\" expects a mapping, found {what}")));
                    }
                }
            }
        }
        merged
    }

    /// Closes what is open, and returns what was read.
    fn finish(mut self, stop: Option<Stop>) -> Tree {
        let mut open = Vec::new();
        while let Some(unfinished) = self.stack.pop() {
            let value = match unfinished.items {
                Items::List(items) => Value::List(items),
                Items::Mapping(entries, _) => Value::Mapping(self.merged(entries)),
            };
            self.complete(Node { place: unfinished.collection.place, value }, 0);
            open.push(unfinished.collection);
        }
        open.reverse();
        Tree { root: self.root, problems: self.problems, stop, open, last: self.last }
    }
}

impl Size {
    fn of(node: &Node) -> Self {
        let of_all = |nodes: &mut dyn Iterator<Item = &Node>| {
            nodes.map(Self::of).fold(Self::default(), |sum, size| Self {
                nodes: sum.nodes + size.nodes,
                bytes: sum.bytes + size.bytes,
                depth: sum.depth.max(size.depth),
            })
        };
        let below = match &node.value {
            Value::Null | Value::Broken => Self::default(),
            Value::Scalar(_, text) => Self { bytes: text.len(), ..Self::default() },
            Value::List(items) => of_all(&mut items.iter()),
            Value::Mapping(entries) => {
                let keys = entries.iter().map(|(key, _)| key.text.len()).sum::<usize>();
                let values = of_all(&mut entries.iter().map(|(_, value)| value));
                Self { bytes: values.bytes + keys, ..values }
            }
        };
        Self { nodes: below.nodes + 1, depth: below.depth + 1, ..below }
    }
}

fn too_deep() -> String {
    format!("lists and mappings are nested more than {MAX_DEPTH} deep")
}

fn unknown_tag(tag: &str, text: &str) -> String {
    format!(
        "an unquoted \"!\" begins a YAML tag, and a manifest has none called \"{tag}\"; if it belongs to the text, quote \
         it: \"{text}\""
    )
}
