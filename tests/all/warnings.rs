//! Sets that are right but suspicious are published, with warnings that nobody can miss.

use std::fs;

use crate::common::release::Place;
use serde_json::Value;
use testing::noise;

const RELEASE: &str = "\
release: r
mirrors: {A: {path: a, servers: ['https://a.example/']}}
images: [{path: 'img/*.iso', output: out}]
";

fn part(number: u64) -> Vec<u8> {
    noise(number, 4000)
}

/// A mirror of ten parts, and an image of all of them.
fn place() -> Place {
    let place = Place::new();
    (0..10).for_each(|number| drop(place.write(&format!("a/{number}.deb"), &part(number))));
    let image: Vec<u8> = (0..10).flat_map(part).chain(noise(99, 900)).collect();
    place.write("img/disc.iso", &image);
    place.write("release.yaml", RELEASE.as_bytes());
    place
}

fn warnings(report: &Value, image: usize) -> Vec<&str> {
    let warnings = report["images"][image]["warnings"].as_array();
    warnings.map_or_else(Vec::new, |all| all.iter().map(|warning| warning["kind"].as_str().unwrap()).collect())
}

#[test]
fn a_set_with_far_fewer_parts_than_the_one_that_it_replaces_says_so() {
    for loses_index in [false, true] {
        let place = place();
        let ran = place.publish(&[]).with(0);
        assert!(!ran.out.contains("WARNING") && !ran.err.contains("WARN"), "{}{}", ran.out, ran.err);
        // A sync that was interrupted.
        (0..3).for_each(|number| fs::remove_file(place.path(&format!("a/{number}.deb"))).unwrap());
        if loses_index {
            fs::remove_file(place.path("index.sqlite")).unwrap();
        }
        let ran = place.publish(&["--report", "report.json"]).with(0);
        assert!(ran.out.contains("disc.iso") && ran.out.contains("WARNING"), "{}", ran.out);
        assert!(ran.out.lines().last().unwrap().contains("1 with warnings"), "{}", ran.out);
        let line = "matched by 7 parts, but 97.80 % by 10 in the set that this one replaces; is the mirror complete?";
        assert!(ran.err.contains(line), "{}", ran.err);
        let report: Value = serde_json::from_slice(&fs::read(place.path("report.json")).unwrap()).unwrap();
        assert_eq!(warnings(&report, 0), ["far_fewer_parts"]);
        assert_eq!(report["exit_code"], 0);
        assert!(report["warnings"][0].as_str().unwrap().contains(line), "{report}");
        // It was said once: the next run changes nothing.
        let ran = place.publish(&["--format", "json"]).with(0);
        assert_eq!(warnings(&ran.json(), 0), [""; 0]);
    }
}

#[test]
fn a_set_with_a_few_parts_less_says_nothing() {
    let place = place();
    let small: Vec<u8> =
        (0..3).flat_map(|number| noise(number, 4000)).chain((20..50).flat_map(|number| noise(number, 4000))).collect();
    (20..50).for_each(|number| drop(place.write(&format!("a/{number}.deb"), &noise(number, 4000))));
    place.write("img/disc.iso", &small);
    place.publish(&[]).with(0);
    fs::remove_file(place.path("a/20.deb")).unwrap();
    let ran = place.publish(&["--format", "json"]).with(0);
    assert_eq!((&ran.json()["images"][0]["outcome"], warnings(&ran.json(), 0).len()), (&"published".into(), 0));
    // Nor does a smaller image that is as well matched.
    place.write(
        "img/disc.iso",
        &(21..30).flat_map(|number| noise(number, 4000)).chain(noise(7, 100)).collect::<Vec<_>>(),
    );
    let ran = place.publish(&["--format", "json"]).with(0);
    assert_eq!(warnings(&ran.json(), 0).len(), 0);
}

#[test]
fn an_image_of_which_nothing_is_in_the_mirror_is_warned_of_every_time() {
    let place = place();
    place.write("wrong/other.deb", &noise(77, 4000));
    place.write("release.yaml", RELEASE.replace("path: a", "path: wrong").as_bytes());
    for outcome in ["published", "unchanged"] {
        let ran = place.publish(&["--format", "json"]).with(0);
        assert_eq!(
            (&ran.json()["images"][0]["outcome"], warnings(&ran.json(), 0)),
            (&outcome.into(), vec!["no_parts"])
        );
        assert!(ran.err.contains("disc.iso: no file of the mirror A is in it"), "{}", ran.err);
    }
    // What is shorter than every file of the mirror cannot have parts.
    place.write("img/disc.iso", &noise(78, 3999));
    let ran = place.publish(&["--format", "json"]).with(0);
    assert_eq!(warnings(&ran.json(), 0), ["far_fewer_parts"; 0]);
}

#[test]
fn an_image_of_no_bytes_is_warned_of() {
    let place = place();
    place.publish(&[]).with(0);
    place.write("img/disc.iso", b"");
    let ran = place.publish(&["--format", "json", "--quiet"]).with(0);
    assert_eq!(warnings(&ran.json(), 0), ["empty_image", "far_fewer_parts"]);
    assert!(ran.err.contains("disc.iso: the image has no bytes"), "{}", ran.err);
    let ran = place.publish(&["--format", "json"]).with(0);
    assert_eq!(warnings(&ran.json(), 0), ["empty_image"]);
}

#[test]
fn what_goes_for_many_images_is_said_once() {
    let place = place();
    (0..12).for_each(|number| drop(place.write(&format!("img/{number}.iso"), b"")));
    let ran = place.publish(&["--quiet"]).with(0);
    assert_eq!(ran.err.lines().count(), 2, "{}", ran.err);
    assert!(ran.err.contains("the same goes for 11 more images"), "{}", ran.err);
}

#[test]
fn a_set_with_fewer_parts_that_cover_as_much_says_nothing() {
    let place = place();
    place.publish(&[]).with(0);
    // One file now holds what ten held.
    let whole: Vec<u8> = (0..10).flat_map(part).collect();
    (0..10).for_each(|number| fs::remove_file(place.path(&format!("a/{number}.deb"))).unwrap());
    place.write("a/all.tar", &whole);
    let ran = place.publish(&["--format", "json"]).with(0);
    assert_eq!((&ran.json()["images"][0]["parts"], warnings(&ran.json(), 0).len()), (&1.into(), 0), "{}", ran.err);
}

#[test]
fn a_copy_of_a_mirror_file_has_parts_though_one_is_left_out() {
    let place = place();
    let whole = fs::read(place.path("img/disc.iso")).unwrap();
    place.write("a/disc.iso", &whole);
    place.write("img/alone.iso", &part(3));
    for outcome in ["published", "unchanged"] {
        let ran = place.publish(&["--format", "json"]).with(0);
        let report = ran.json();
        assert_eq!(
            (&report["images"][0]["outcome"], &report["images"][0]["left_out_bytes"]),
            (&outcome.into(), &4000.into())
        );
        for image in 0..2 {
            assert_eq!(warnings(&report, image), ["copy_of_image"], "{}", ran.err);
        }
        assert!(ran.err.contains("disc.iso: a mirror has a copy of the whole image, "), "{}", ran.err);
        // What is in the copy was found.
        assert_eq!((&report["images"][1]["parts"], &report["images"][1]["left_out_bytes"]), (&10.into(), &900.into()));
    }
}
