//! `--match-exec`: runs the user's command for each file that is found in the image.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;

use jigdo::base64;
use jigdo::{Checksum, escaped_path};

use super::Error;
use super::files::Name;
use crate::mirror::Sums;

/// Runs `command` in a shell, with the file's properties in its environment.
///
/// # Errors
/// When the command cannot be run, or fails.
pub fn run(command: &OsStr, name: &Name, label: &[u8], sums: &Sums) -> Result<(), Error> {
    let rest = name.rest().as_bytes();
    let leaf = rest.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    let sum = |checksum| sums.part(checksum).map(|part| base64::encode(part.sum.as_bytes())).unwrap_or_default();
    let status = Command::new("sh")
        .arg("-c")
        .arg(command)
        .env("LABEL", OsStr::from_bytes(label))
        .env("LABELPATH", name.root())
        .env("MATCHPATH", OsStr::from_bytes(&rest[..leaf]))
        .env("LEAF", OsStr::from_bytes(&rest[leaf..]))
        .env("MD5SUM", sum(Checksum::Md5))
        .env("SHA256SUM", sum(Checksum::Sha256))
        .env("FILE", name.path())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Error::MatchExec(format!("failed for {} ({status})", escaped_path(&name.path())))),
        Err(error) => Err(Error::MatchExec(format!("cannot be run: {error}"))),
    }
}
