//! Looks for parts in the file system.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Instant;

use jigdo::{Checksum, Sum};

use super::answer::Answer;
use crate::digest::Hasher;

/// Looks at a path. The file is read only if there are `sums` to compute.
pub fn look(path: &Path, sums: &[Checksum]) -> Answer {
    let start = Instant::now();
    match fs::metadata(path) {
        Ok(found) if found.is_file() => {
            let latency = start.elapsed();
            match read(path, sums) {
                Ok(sums) => Answer::There { length: Some(found.len()), sums, latency },
                Err(error) => Answer::Failed(error.to_string()),
            }
        }
        Ok(_) => Answer::Missing,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Answer::Missing,
        Err(error) => Answer::Failed(error.to_string()),
    }
}

fn read(path: &Path, sums: &[Checksum]) -> io::Result<Vec<Sum>> {
    if sums.is_empty() {
        return Ok(Vec::new());
    }
    let mut file = File::open(path)?;
    let mut summing = Summing::new(sums);
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(summing.finish()),
            count => summing.update(&buffer[..count]),
        }
    }
}

/// Sums of bytes that arrive piece by piece.
pub struct Summing(Vec<(Checksum, Hasher)>);

impl Summing {
    pub fn new(checksums: &[Checksum]) -> Self {
        Self(checksums.iter().map(|&checksum| (checksum, Hasher::new(checksum.into()))).collect())
    }

    pub fn update(&mut self, data: &[u8]) {
        self.0.iter_mut().for_each(|(_, hasher)| hasher.update(data));
    }

    pub fn finish(&mut self) -> Vec<Sum> {
        let sum = |(checksum, hasher): (Checksum, Hasher)| Sum::from_bytes(checksum, &hasher.finish());
        self.0.drain(..).filter_map(sum).collect()
    }
}
