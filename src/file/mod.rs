//! Files as bytes: opened, mapped into memory, read through windows, and identified by their stamps.

mod bytes;
#[allow(unsafe_code, reason = "maps, and the handler of the signal for their lost pages")]
mod map;
mod open;
#[allow(unsafe_code, reason = "maps, and the handler of the signal for their lost pages")]
mod sigbus;
mod stamp;
mod walking;
mod window;

pub use bytes::{Bytes, Region};
pub use map::Mapped;
pub use open::open;
pub use stamp::{Stamp, now_ns};
pub use walking::walk_error;
pub use window::Window;
