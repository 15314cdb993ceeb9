//! Any mirror and any image: the layout is right, and the image comes back from its template and jigdo file.

#![no_main]

use jigpress_fuzz::case::Case;
use jigpress_fuzz::matching::{Parts, checked_layout};
use jigpress_fuzz::set::assert_round_trip;
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: jigpress_fuzz::use_one_thread(),
    |case: Case| {
        let files = case.files();
        let image = case.image(&files);
        let parts = Parts::new(&case, files);
        let layout = checked_layout(&case, &parts, &image);
        assert_round_trip(&case, &parts, &layout, &image);
    }
);
