//! Writes a set's jigdo file and proves it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use jigdo::bstr::BString;
use jigdo::jigdo_file::{self, Jigdo, Location};
use jigdo::{Algorithm, Checksum, Sum};

use super::template_file::ProvenTemplate;
use super::{Clocks, MirrorTree, SetBuilder, sync};
use crate::GENERATOR;
use crate::digest::Hasher;
use crate::file::Bytes as _;
use crate::file::{Mapped, Stamp};
use crate::make::proof;
use crate::make::streams::{Sums, set_sum};
use crate::make::{Error, jigdo_name};
use crate::mirror::FileId;
use crate::output;

impl SetBuilder<'_> {
    /// The label of the mirror with this tree.
    fn label(&self, tree: usize) -> &str {
        let found = self.mirrors.iter().find(|mirror| mirror.tree == tree);
        &found.expect("an image is matched with its own mirrors only").mirror.label
    }

    /// The content of the set's jigdo file.
    pub(super) fn jigdo(&self, image: &Mapped, template: &ProvenTemplate) -> Jigdo {
        let spec = self.spec;
        let settings = &spec.settings;
        let mut locations = BTreeMap::new();
        for part in template.layout.parts() {
            let file = self.selection.file(part.part);
            locations.entry(file).or_insert(part.sum);
        }
        let location = |(file, sum): (FileId, Sum)| {
            let label = self.label(self.catalogue.tree(file)).into();
            (sum, Location { label, path: self.catalogue.path(file).into() })
        };
        let mut parts: Vec<_> = locations.into_iter().map(location).collect();
        parts.sort_by(|a, b| (&a.1, a.0).cmp(&(&b.1, b.0)));
        let servers = self.mirrors.iter().flat_map(|MirrorTree { mirror, .. }| {
            let server = |server: &crate::manifest::Server| jigdo_file::Server {
                url: server.url.as_str().into(),
                try_last: server.try_last,
            };
            mirror.servers.iter().map(move |listed| (mirror.label.as_str().into(), server(listed)))
        });
        Jigdo {
            version: Some(match settings.checksum {
                Checksum::Md5 => "1.2".into(),
                Checksum::Sha256 => "2.0".into(),
            }),
            generator: Some(GENERATOR.into()),
            images: vec![jigdo_file::Image {
                filename: spec.filename.as_str().into(),
                template: spec.template_url.as_str().into(),
                template_sum: Some(set_sum(&template.sums, settings.checksum)),
                short_info: spec.short_info.as_deref().map(Into::into),
                info: spec.info.as_deref().map(Into::into),
                comments: comments(&settings.sums, image, template),
            }],
            parts,
            servers: servers.collect(),
            includes: spec.include_jigdo.iter().map(|url| url.as_str().into()).collect(),
        }
    }

    /// Writes the jigdo file and proves it. Returns its stamp, length and sums.
    pub(super) fn write_jigdo(
        &self,
        jigdo: &Jigdo,
        template: &ProvenTemplate,
        clocks: &mut Clocks,
    ) -> Result<(Stamp, u64, Sums), Error> {
        let name = jigdo_name(&self.spec.name);
        let path = self.directory.staged(&name);
        let text = jigdo.to_text().map_err(|source| Error::Jigdo { path: path.clone(), source })?;
        let failed = |source| output::Error::Write { path: path.clone(), source };
        let bytes = match self.spec.settings.compress_jigdo {
            true => jigdo_file::gzip(&text).map_err(failed)?,
            false => text.into(),
        };
        let mut file = self.directory.stage_with_mode(&name, self.spec.settings.mode)?;
        file.write_all(&bytes).map_err(failed)?;
        let stamp = sync(&file).map_err(failed)?;
        let sum = set_sum(&template.sums, self.spec.settings.checksum);
        let proven = clocks.proof.time(|| proof::prove_jigdo(&path, &template.layout, sum));
        proven.map_err(|reason| Error::Proof { path: path.clone(), reason })?;
        let sums = self.algorithms().into_iter().map(|algorithm| (algorithm, Hasher::sum(algorithm, &bytes)));
        Ok((stamp, bytes.len() as u64, sums.collect()))
    }
}

/// The sums and sizes that go into the jigdo file's comments.
fn comments(algorithms: &BTreeSet<Algorithm>, image: &Mapped, template: &ProvenTemplate) -> Vec<BString> {
    if algorithms.is_empty() {
        return Vec::new();
    }
    let wanted = |sums: &Sums, comment: fn(Algorithm, &[u8]) -> String| -> Vec<BString> {
        let chosen = sums.iter().filter(|(algorithm, _)| algorithms.contains(algorithm));
        chosen.map(|(&algorithm, sum)| comment(algorithm, sum).into()).collect()
    };
    [
        wanted(&template.sums, jigdo_file::template_sum_comment),
        vec![jigdo_file::template_size_comment(template.length).into()],
        wanted(&template.image_sums, jigdo_file::image_sum_comment),
        vec![jigdo_file::image_size_comment(image.length()).into()],
    ]
    .concat()
}
