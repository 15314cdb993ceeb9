//! The manual page of release manifests: the keys from their schema, the rest from `docs/manifest.md`.

use roff::{bold, roman};
use serde_json::Value;

use super::markdown;
use super::page::Page;

const DOCUMENT: &str = include_str!("../../../docs/manifest.md");

/// Which type of the schema a section of the document describes.
const KEYS: &[(&str, &str)] = &[
    ("Top level", ""),
    ("Mirrors", "/$defs/Mirror"),
    ("Servers", "/$defs/ServerWithOptions"),
    ("Settings", "/$defs/Settings"),
    ("Images", "/$defs/Image"),
];

/// The page `jigpress.yaml(5)`.
pub fn page() -> Page {
    let schema = crate::manifest::schema();
    let mut page = Page::new("jigpress.yaml", "5", "release manifests of jigpress");
    page.section("Description");
    page.text(description(&schema));
    for section in markdown::sections(DOCUMENT) {
        page.section(section.title);
        let keys = KEYS.iter().find(|(title, _)| *title == section.title);
        let keys = keys.and_then(|(_, pointer)| schema.pointer(pointer));
        let mut render = |page: &mut Page| keys.map(|keys| render_keys(keys, &schema, page)).is_some();
        section.render(&mut page, &mut render);
    }
    page.section("See also");
    let pages = [("jigpress", "1"), ("jigpress-publish", "1"), ("jigpress-schema", "1"), ("jigpress-index", "1")];
    page.see_also(&pages.map(|(name, section)| (name.to_owned(), section.to_owned())));
    page.documentation();
    page
}

fn description(schema: &Value) -> &str {
    schema["description"].as_str().unwrap_or_default()
}

/// The keys of a mapping. Those of images that are settings are described there.
fn render_keys(mapping: &Value, schema: &Value, page: &mut Page) {
    let settings = schema.pointer("/$defs/Settings/properties");
    let is_image = schema.pointer("/$defs/Image") == Some(mapping);
    let required: Vec<&str> = mapping["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (key, property) in mapping["properties"].as_object().into_iter().flatten() {
        if is_image && settings.is_some_and(|settings| settings.get(key).is_some()) {
            continue;
        }
        let is_required = if required.contains(&key.as_str()) { " (required)" } else { "" };
        let text = format!("{}{}", description(property), range(property));
        page.item(vec![bold(key), roman(is_required)], &text);
    }
}

/// What values a key may have, where its description might not say so.
fn range(property: &Value) -> String {
    let words: Vec<String> = property["enum"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|word| format!("`{word}`"))
        .collect();
    if !words.is_empty() {
        return format!(" One of {}.", words.join(", "));
    }
    match (property["minimum"].as_u64(), property["maximum"].as_u64()) {
        (Some(least), Some(most)) => format!(" From {least} to {most}."),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_schema_is_on_the_page() {
        fn keys(schema: &Value, found: &mut Vec<String>) {
            let properties = schema["properties"].as_object().into_iter().flatten();
            found.extend(properties.map(|(key, _)| key.clone()));
            schema["$defs"].as_object().into_iter().flatten().for_each(|(_, schema)| keys(schema, found));
        }
        let mut found = Vec::new();
        keys(&crate::manifest::schema(), &mut found);
        assert!(found.len() > 20, "{found:?}");
        let page = page().source();
        for key in found {
            assert!(page.contains(&format!("\\fB{}\\fR", key.replace('-', "\\-"))), "{key}");
        }
    }

    #[test]
    fn the_document_has_the_sections_that_describe_keys() {
        let titles: Vec<&str> = markdown::sections(DOCUMENT).map(|section| section.title).collect();
        for (title, pointer) in KEYS {
            assert!(titles.contains(title), "{title}");
            assert!(crate::manifest::schema().pointer(pointer).is_some(), "{pointer}");
        }
    }
}
