//! What views of templates and of half-assembled images share: sums, areas and the image.

use jigdo::base64;
use jigdo::template::{Area, Description};
use jigdo::{Algorithm, Sum};
use serde::Serialize;

/// A sum in hexadecimal, as scripts use it, and in base64, as jigdo files do.
#[derive(Serialize)]
pub struct SumView {
    pub algorithm: &'static str,
    pub base64: String,
    pub hex: String,
}

impl From<&Sum> for SumView {
    fn from(sum: &Sum) -> Self {
        let algorithm = match Algorithm::from(sum.checksum()) {
            Algorithm::Md5 => "md5",
            Algorithm::Sha1 => "sha1",
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        };
        Self { algorithm, base64: base64::encode(sum.as_bytes()), hex: sum.to_string() }
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum AreaView {
    Unmatched {
        offset: u64,
        length: u64,
    },
    Part {
        offset: u64,
        length: u64,
        sum: SumView,
        rsync64: Option<String>,
        /// Only of a half-assembled image.
        #[serde(skip_serializing_if = "Option::is_none")]
        is_written: Option<bool>,
    },
}

impl AreaView {
    pub fn new(offset: u64, area: &Area, is_written: Option<bool>) -> Self {
        match *area {
            Area::Unmatched { length } => Self::Unmatched { offset, length },
            Area::Part { length, rsync64, ref sum } => Self::Part {
                offset,
                length,
                sum: sum.into(),
                rsync64: rsync64.map(|sum| base64::encode(&sum.to_bytes())),
                is_written,
            },
        }
    }
}

#[derive(Serialize)]
pub struct ImageView {
    pub length: u64,
    pub sum: SumView,
    pub block_length: Option<u32>,
}

impl From<&Description> for ImageView {
    fn from(description: &Description) -> Self {
        let image = &description.image;
        Self { length: image.length, sum: (&image.sum).into(), block_length: image.block_length }
    }
}

/// A share of an image, in percent.
pub fn percent(bytes: u64, image: u64) -> f64 {
    bytes as f64 * 100.0 / image.max(1) as f64
}
