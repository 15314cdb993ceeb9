//! The manifest's JSON Schema, with which editors complete and check manifests.

use super::raw::Manifest;

/// The schema (draft 2020-12), made from the types that the parser reads.
///
/// It describes keys, types, ranges and words. [`load`](super::load) also finds mistakes that a schema cannot express,
/// such as labels that no mirror has.
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(Manifest).to_value();
    // The derived schema knows declared keys only.
    schema["patternProperties"] = serde_json::json!({"^x-": true});
    schema
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Map, Value, json};

    use super::super::problem::Problems;
    use super::super::shape::Read as _;
    use super::super::yaml;
    use super::*;

    /// Whether the parser accepts the text's shape.
    fn parses(text: &str) -> bool {
        let mut problems = Problems::new(Path::new("m.yaml"));
        let document = yaml::parse(text, &mut problems);
        document.is_some_and(|document| Manifest::read(&document.root, &mut problems).is_some() && problems.is_empty())
    }

    /// Whether the value follows the schema: a validator for the keywords that the schema uses, and no others.
    fn follows(value: &Value, schema: &Value, root: &Value) -> bool {
        let Value::Object(keywords) = schema else { return schema == &json!(true) };
        keywords.iter().all(|(keyword, rule)| match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" => true,
            "$ref" => follows(value, root.pointer(rule.as_str().unwrap().trim_start_matches('#')).unwrap(), root),
            "anyOf" => rule.as_array().unwrap().iter().any(|schema| follows(value, schema, root)),
            "enum" => rule.as_array().unwrap().contains(value),
            "type" => match rule {
                Value::Array(types) => types.iter().any(|name| is(value, name)),
                name => is(value, name),
            },
            "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
            "items" => value.as_array().is_none_or(|items| items.iter().all(|item| follows(item, rule, root))),
            "required" => value.as_object().is_none_or(|entries| {
                rule.as_array().unwrap().iter().all(|key| entries.contains_key(key.as_str().unwrap()))
            }),
            "properties" => value.as_object().is_none_or(|entries| {
                let known = entries.iter().filter_map(|(key, value)| Some((value, rule.get(key)?)));
                known.into_iter().all(|(value, schema)| follows(value, schema, root))
            }),
            // Only one pattern is used, and it allows everything.
            "patternProperties" => rule == &json!({"^x-": true}),
            "additionalProperties" => value.as_object().is_none_or(|entries| {
                let is_free = |key: &str| keywords.get("patternProperties").is_some() && key.starts_with("x-");
                let known = |key: &str| {
                    is_free(key) || keywords.get("properties").is_some_and(|known| known.get(key).is_some())
                };
                entries.iter().filter(|(key, _)| !known(key)).all(|(_, value)| follows(value, rule, root))
            }),
            other => panic!("the validator does not know {other:?}"),
        })
    }

    fn is(value: &Value, name: &Value) -> bool {
        match name.as_str().unwrap() {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "string" => value.is_string(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            other => panic!("unknown type {other:?}"),
        }
    }

    /// Every value that differs from `value` in one place: another value there, a key more, a key less.
    fn mutations(value: &Value) -> Vec<Value> {
        let others = [
            json!(null),
            json!(true),
            json!(0),
            json!(7),
            json!(300),
            json!(-1),
            json!(1.5),
            json!(99_999_999),
            json!("x"),
            json!("md5"),
            json!([]),
            json!({}),
            json!(["x"]),
            json!([["x"]]),
            json!({"x": 1}),
            json!({"x": ["y"]}),
            json!({"x": {}}),
            json!({"path": "x"}),
            json!({"url": "x"}),
        ];
        let mut all = others.to_vec();
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    all.extend(mutations(item).into_iter().map(|mutation| {
                        let mut items = items.clone();
                        items[index] = mutation;
                        Value::Array(items)
                    }));
                }
            }
            Value::Object(entries) => {
                let with = |key: &str, value: Value| -> Value {
                    let mut entries = entries.clone();
                    entries.insert(key.to_owned(), value);
                    Value::Object(entries)
                };
                all.push(with("unknown", json!("x")));
                all.push(with("x-unknown", json!([{"x": 1}])));
                for (key, value) in entries {
                    all.extend(mutations(value).into_iter().map(|mutation| with(key, mutation)));
                    let less: Map<_, _> = entries.clone().into_iter().filter(|(other, _)| other != key).collect();
                    all.push(Value::Object(less));
                }
            }
            _ => {}
        }
        all
    }

    /// A manifest with every key.
    fn everything() -> Value {
        let settings = json!({
            "checksum": "md5", "compression": "bzip2", "level": 3, "min_length": 300, "compress_jigdo": true,
            "sums": ["md5", "sha1", "sha256", "sha512"],
        });
        let mut image = json!({
            "path": "a", "matrix": {"x": ["a", 1], "exclude": [{"x": 1}]}, "output": "b", "name": "c",
            "template_url": "d", "filename": "e", "short_info": "f", "info": "g", "include_jigdo": ["h"],
            "mirrors": ["D"], "optional": true,
        });
        image.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        json!({
            "release": 12.9, "vars": {"x": 1}, "defaults": settings, "images": [image],
            "mirrors": {"D": {
                "path": "d", "include": ["*"], "exclude": ["x"], "servers": ["s", {"url": "t", "try_last": true}],
            }},
        })
    }

    #[test]
    fn the_schema_and_the_parser_accept_the_same_manifests() {
        let schema = schema();
        assert!(follows(&everything(), &schema, &schema));
        let mut accepted = 0;
        let all = mutations(&everything());
        for value in &all {
            let text = value.to_string();
            let expected = parses(&text);
            assert_eq!(follows(value, &schema, &schema), expected, "{text}");
            accepted += usize::from(expected);
        }
        assert!(accepted > 100 && all.len() - accepted > 100, "{accepted} of {}", all.len());
    }

    #[test]
    fn the_manifests_in_the_repository_follow_the_schema() {
        let schema = schema();
        let pipelines = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
        let mut manifests = 0;
        for path in super::super::glob::find(&pipelines, "*.yaml").unwrap().files {
            let text = std::fs::read_to_string(path).unwrap();
            assert!(parses(&text), "{text}");
            let document = yaml::parse(&text, &mut Problems::new(Path::new("m.yaml"))).unwrap();
            assert!(follows(&json_of(&document.root), &schema, &schema), "{text}");
            manifests += 1;
        }
        assert!(manifests >= 3);
    }

    /// The node as an editor's YAML parser would hand it to a validator.
    fn json_of(node: &yaml::Node) -> Value {
        match &node.value {
            yaml::Value::Null | yaml::Value::Broken => Value::Null,
            yaml::Value::Scalar(yaml::Kind::Text, text) => json!(text),
            yaml::Value::Scalar(_, text) => serde_json::from_str(text).unwrap(),
            yaml::Value::List(items) => items.iter().map(json_of).collect(),
            yaml::Value::Mapping(entries) => {
                entries.iter().map(|(key, value)| (key.text.clone(), json_of(value))).collect()
            }
        }
    }

    #[test]
    fn every_key_is_described_in_the_schema() {
        fn check(schema: &Value, place: &str) {
            for (key, property) in schema["properties"].as_object().into_iter().flatten() {
                assert!(property["description"].is_string(), "{place}.{key}");
            }
        }
        let schema = schema();
        check(&schema, "manifest");
        schema["$defs"].as_object().unwrap().iter().for_each(|(name, schema)| check(schema, name));
    }
}
