//! Files as bytes: opened, mapped into memory, read through windows, and identified by their stamps.

mod about;
mod bytes;
mod kind;
#[allow(unsafe_code, reason = "maps, and the handler of the signal for their lost pages")]
mod map;
mod open;
mod read;
#[allow(unsafe_code, reason = "maps, and the handler of the signal for their lost pages")]
mod sigbus;
mod staging;
mod stamp;
mod tick;
mod umask;
mod walking;
mod window;

pub use about::{about, line, without_path};
pub use bytes::{Bytes, Region};
pub use kind::kind;
pub use map::Mapped;
pub use open::{is_stream, length, open, with_patience};
pub use read::{open_regular, read_regular};
pub use staging::{create_anew, is_too_long, staging_path};
#[cfg(test)]
pub use stamp::settle;
pub use stamp::{Stamp, now_ns};
pub use umask::{make_private, set_private_umask};
pub use walking::walk_error;
pub use window::Window;
