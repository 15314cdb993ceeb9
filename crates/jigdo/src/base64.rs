//! jigdo's base64: RFC 4648's URL-safe alphabet, without padding.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The text of `bytes`: 11 characters for an rsync64 sum, 22 for an MD5, 43 for a SHA-256.
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of `text`; `None` unless every character is of the alphabet and the unused bits are zero.
pub fn decode(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
