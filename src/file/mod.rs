//! Files as bytes: opened, mapped into memory, looked at through windows, and told apart by their stamps.

mod bytes;
#[allow(unsafe_code)]
mod map;
mod stamp;

pub use bytes::{Bytes, Region};
pub use map::{Mapped, Window, open};
pub use stamp::{Stamp, now_ns};
