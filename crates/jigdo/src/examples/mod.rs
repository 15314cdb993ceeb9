//! The examples in the documentation. They are compiled, and run, as tests.
#![allow(clippy::print_stdout, reason = "examples show what they found")]

mod list {
    include!("list_parts.rs");

    #[test]
    fn the_readme_shows_how_parts_are_listed() {
        let readme = include_str!("../../README.md");
        assert!(readme.contains(include_str!("list_parts.rs")));
        assert!(main().is_err(), "there is no image.jigdo here");
    }
}

mod read {
    include!("read_set.rs");

    #[test]
    fn a_set_is_read() {
        let template = include_bytes!("../../../../testdata/vectors/jigdo-file-v2-gzip.template");
        let jigdo = include_bytes!("../../../../testdata/vectors/jigdo-file-v2-gzip.jigdo");
        let length = Template::read(Cursor::new(template)).unwrap().description.unmatched_length();
        assert_eq!(read_set(jigdo, template).unwrap().len() as u64, length);
    }
}

mod workers {
    include!("workers.rs");

    #[test]
    fn workers_of_rayon_do_all_the_work() {
        let squares = jigdo::template::Workers::map(&Rayon, &[1, 2, 3], |number| number * number);
        assert_eq!(squares, [1, 4, 9]);
    }
}

mod write {
    include!("write_set.rs");

    #[test]
    fn a_set_is_written() {
        use jigdo::bstr::ByteSlice as _;

        let package = [7; 2048];
        let image: Vec<u8> = [&[1; 512][..], &package, &[2; 1536]].concat();
        let (_, jigdo) = write_set(&package, &image.try_into().unwrap()).unwrap();
        assert!(jigdo.contains_str(jigdo::base64::encode(Sum::of(Checksum::Sha256, &package).as_bytes())));
    }
}
