use std::path::Path;

use super::*;

fn tree(text: &str) -> Node {
    let mut problems = Problems::new(Path::new("m.yaml"));
    let document = parse(text, &mut problems);
    assert!(problems.is_empty(), "{}", problems.into_errors());
    document.unwrap().root
}

fn message(text: &str) -> String {
    let mut problems = Problems::new(Path::new("m.yaml"));
    parse(text, &mut problems);
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
    assert_eq!(message(&text), "m.yaml:5:45: the manifest is too large, because its aliases multiply");
    assert_eq!(message("a: &a [*a]\n"), "m.yaml:1:8: an alias may not be inside the value of its own anchor");
}

#[test]
fn deep_nesting_is_an_error() {
    let deep: String = (0..5000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    for text in ["[".repeat(100_000), "{a: ".repeat(100_000), deep] {
        let message = message(&text);
        assert!(message.ends_with("lists and mappings are nested more than 64 deep"), "{message}");
    }
    let mut aliases = String::from("a0: &a0 [x]\n");
    (1..100).for_each(|level| aliases += &format!("a{level}: &a{level} [*a{}]\n", level - 1));
    assert!(message(&aliases).ends_with("nested more than 64 deep"), "{}", message(&aliases));
}

#[test]
fn scalars_have_the_kinds_of_yaml() {
    use Kind::*;
    for (text, kind) in [
        ("12", Number),
        ("-1", Number),
        ("+1.5e-3", Number),
        (".5", Number),
        ("0o17", Number),
        ("0b1", Number),
        (".inf", Number),
        ("010", Number),
        ("1.2.3", Text),
        ("12:30", Text),
        ("2025-01-11", Text),
        ("1e", Text),
        ("0x", Text),
        ("-", Text),
        (".", Text),
        ("e1", Text),
        ("True", Bool),
        ("yes", Text),
        ("off", Text),
        ("NULLX", Text),
        ("!!str true", Text),
        ("!!int '5'", Number),
    ] {
        // A dash alone begins an entry.
        let written = if text == "-" { "'-'" } else { text };
        assert_eq!(scalars(&format!("a: {written}\n"))[0].0, kind, "{text}");
    }
    for text in ["", "~", "null", "Null", "!!null null"] {
        let Value::Mapping(entries) = tree(&format!("a: {text}\n")).value else { panic!("no mapping") };
        assert!(matches!(entries[0].1.value, Value::Null), "{text}");
    }
}

#[test]
fn places_after_a_corrected_mistake_are_those_of_the_text_as_written() {
    let mut problems = Problems::new(Path::new("m.yaml"));
    let document = parse("é: {p: {a}/x, q: [*b, {c}d, e], r: \"\\x\"}\n", &mut problems).unwrap();
    assert!(document.is_complete);
    let Value::Mapping(entries) = document.root.value else { panic!("no mapping") };
    let Value::Mapping(inner) = &entries[0].1.value else { panic!("no mapping") };
    let columns: Vec<_> = inner.iter().map(|(key, value)| (key.place.column, value.place.column)).collect();
    assert_eq!(columns, [(5, 8), (15, 18), (33, 36)]);
}
