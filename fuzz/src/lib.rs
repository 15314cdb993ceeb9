//! What the fuzz targets share.
//!
//! | module | takes | returns |
//! |---|---|---|
//! | [`case`] | the fuzzer's bytes | a mirror, an image, settings |
//! | [`matching`] | a case | a layout, held to what must be true of it |
//! | [`set`] | a layout | a template and a jigdo file, from which the image must come back |

pub mod case;
pub mod matching;
pub mod set;

/// Keeps all work in the calling thread, so that the same input always takes the same path through the code.
///
/// # Panics
/// When called after the first work was done.
pub fn use_one_thread() {
    rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build_global().expect("called once");
}
