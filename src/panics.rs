//! Faults of this program: a panic in the work on one image fails that image, and the program goes on with the others.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A panic that was caught.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panic(String);

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an internal error of jigpress: {}", self.0)
    }
}

/// Runs `work`, whose results nobody uses if it panics.
///
/// # Errors
/// It panicked.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Panic> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| Panic(message(&*payload)))
}

/// What a panic says.
pub fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".to_owned())
}

/// Ends the program after a panic in a thread that nobody waits for: what waits for its result would wait for ever. The
/// panic was reported by the hook.
#[allow(clippy::exit, clippy::needless_pass_by_value, reason = "a handler of rayon's, whose default is to abort")]
pub fn end(_: Box<dyn Any + Send>) {
    std::process::exit(3);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_panics_says_why_and_the_caller_goes_on() {
        assert_eq!(caught(|| 7), Ok(7));
        let panic = caught(|| panic!("no {}", "way")).unwrap_err();
        assert_eq!(panic.to_string(), "an internal error of jigpress: no way");
        assert_eq!(caught(|| panic!("static")).unwrap_err(), Panic("static".to_owned()));
        let panic = caught(|| std::panic::panic_any(7)).unwrap_err();
        assert_eq!(panic, Panic("a panic without a message".to_owned()));
    }
}
