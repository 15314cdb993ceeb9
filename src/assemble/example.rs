use std::error::Error;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use jigdo::template::Template;
use jigpress::assemble::source::NamedFiles;
use jigpress::assemble::{Destination, Incomplete, Order, Replaces, assemble};
use jigpress::progress::Silent;

fn make_image(files: Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    let mut template = Template::read(BufReader::new(File::open("disc.template")?))?;
    let (files, unusable) = NamedFiles::new(files);
    let report = assemble(
        Order {
            name: "disc.iso".to_owned(),
            template: &mut template,
            sources: vec![&files],
            destination: Destination::File {
                path: "disc.iso".into(),
                is_sparse: true,
                incomplete: Incomplete::Keep,
                replaces: Replaces::Nothing,
            },
        },
        &Silent,
    )?;
    println!("{} of {} files found, {} unusable", report.found, report.needed, unusable.len());
    // Complete: disc.iso. Incomplete, and something was found, now or before: disc.iso.tmp.
    assert_eq!(report.is_complete, report.missing.is_empty());
    Ok(())
}
