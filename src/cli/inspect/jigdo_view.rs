//! What a jigdo file contains.

use std::collections::BTreeMap;
use std::io::{self, Write};

use jigdo::bstr::BString;
use jigdo::jigdo_file::{Image, Jigdo, Location};
use jigdo::{Sum, escaped};
use serde::Serialize;

use super::areas::SumView;
use crate::json;

#[derive(Serialize)]
pub struct JigdoView {
    #[serde(serialize_with = "json::foreign")]
    version: Option<BString>,
    #[serde(serialize_with = "json::foreign")]
    generator: Option<BString>,
    images: Vec<ImageView>,
    servers: BTreeMap<String, Vec<ServerView>>,
    /// How many parts use each label.
    parts_per_label: BTreeMap<String, usize>,
    parts: Vec<PartView>,
    #[serde(serialize_with = "json::foreign")]
    includes: Vec<BString>,
}

#[derive(Serialize)]
struct ImageView {
    #[serde(serialize_with = "json::foreign")]
    filename: BString,
    #[serde(serialize_with = "json::foreign")]
    template: BString,
    template_sum: Option<SumView>,
    #[serde(serialize_with = "json::foreign")]
    short_info: Option<BString>,
    #[serde(serialize_with = "json::foreign")]
    info: Option<BString>,
    #[serde(serialize_with = "json::foreign")]
    comments: Vec<BString>,
}

#[derive(Serialize)]
struct ServerView {
    #[serde(serialize_with = "json::foreign")]
    url: BString,
    try_last: bool,
}

#[derive(Serialize)]
struct PartView {
    sum: SumView,
    #[serde(serialize_with = "json::foreign")]
    label: BString,
    #[serde(serialize_with = "json::foreign")]
    path: BString,
}

impl JigdoView {
    pub fn new(jigdo: &Jigdo) -> Self {
        let mut servers: BTreeMap<String, Vec<ServerView>> = BTreeMap::new();
        for (label, server) in &jigdo.servers {
            let view = ServerView { url: server.url.clone(), try_last: server.try_last };
            servers.entry(json::key(label)).or_default().push(view);
        }
        let mut parts_per_label = BTreeMap::new();
        for (_, location) in &jigdo.parts {
            *parts_per_label.entry(json::key(&location.label)).or_default() += 1;
        }
        let part = |(sum, location): &(Sum, Location)| PartView {
            sum: sum.into(),
            label: location.label.clone(),
            path: location.path.clone(),
        };
        let image = |image: &Image| ImageView {
            filename: image.filename.clone(),
            template: image.template.clone(),
            template_sum: image.template_sum.as_ref().map(SumView::from),
            short_info: image.short_info.clone(),
            info: image.info.clone(),
            comments: image.comments.clone(),
        };
        Self {
            version: jigdo.version.clone(),
            generator: jigdo.generator.clone(),
            images: jigdo.images.iter().map(image).collect(),
            servers,
            parts_per_label,
            parts: jigdo.parts.iter().map(part).collect(),
            includes: jigdo.includes.clone(),
        }
    }

    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let not_given = BString::from("(not given)");
        let text = |value: &Option<BString>| escaped(value.as_ref().unwrap_or(&not_given)).to_string();
        writeln!(out, "Jigdo file of version {} by {}", text(&self.version), text(&self.generator))?;
        if self.images.is_empty() {
            writeln!(out, "\nNo image")?;
        }
        self.images.iter().try_for_each(|image| image.write(out))?;
        writeln!(out, "\nServers")?;
        for (label, servers) in &self.servers {
            for server in servers {
                let option = if server.try_last { "  (try last)" } else { "" };
                writeln!(out, "  {}  {}{option}", escaped(label), escaped(&server.url))?;
            }
        }
        for url in &self.includes {
            writeln!(out, "\nIncludes {}", escaped(url))?;
        }
        writeln!(out, "\nParts")?;
        for part in &self.parts {
            let colon = if part.label.is_empty() { "" } else { ":" };
            writeln!(out, "  {}  {}{colon}{}", part.sum.base64, escaped(&part.label), escaped(&part.path))?;
        }
        writeln!(out, "\nTotals")?;
        for (label, count) in &self.parts_per_label {
            let label = if label.is_empty() { "(no label)" } else { label };
            writeln!(out, "{count:>8} {} of {}", parts(*count), escaped(label))?;
        }
        writeln!(out, "{:>8} {} in all", self.parts.len(), parts(self.parts.len()))
    }
}

impl ImageView {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "\nImage {}", escaped(&self.filename))?;
        writeln!(out, "  template      {}", escaped(&self.template))?;
        if let Some(sum) = &self.template_sum {
            writeln!(out, "  template's {:<6} {} ({})", sum.algorithm, sum.base64, sum.hex)?;
        }
        for (name, text) in [("short info", &self.short_info), ("info", &self.info)] {
            if let Some(text) = text {
                writeln!(out, "  {name:<12}  {}", escaped(text))?;
            }
        }
        for comment in &self.comments {
            writeln!(out, "  # {}", escaped(comment))?;
        }
        Ok(())
    }
}

/// The word for this many parts.
fn parts(count: usize) -> &'static str {
    if count == 1 { "part" } else { "parts" }
}
