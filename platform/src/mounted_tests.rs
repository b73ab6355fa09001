//! Tests of unpacked layers.

use std::io::Cursor;
use std::io::Write as _;

use ::zip::ZipWriter;
use ::zip::write::SimpleFileOptions;

use super::*;

fn zip(files: &[(&str, &str)]) -> Bytes {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner().into()
}

fn unpack(archives: &[Bytes]) -> Result<tempfile::TempDir, UnpackError> {
    let dir = tempfile::tempdir().unwrap();
    make(archives, &PackageLimits::default(), &dir.path().join("new"), &dir.path().join("to"))?;
    assert!(!dir.path().join("new").exists());
    Ok(dir)
}

#[test]
fn the_first_layer_counts_where_paths_clash() {
    let first = zip(&[("a.txt", "1"), ("b", "1"), ("d/e/f", "1")]);
    let second = zip(&[("a.txt", "2"), ("b/c", "2"), ("d/e", "2"), ("d/g", "2"), ("./h", "2")]);
    let dir = unpack(&[first, second]).unwrap();
    let read = |name: &str| std::fs::read_to_string(dir.path().join("to").join(name)).ok();
    assert_eq!(read("a.txt").as_deref(), Some("1"));
    assert_eq!((read("b").as_deref(), read("b/c")), (Some("1"), None));
    assert_eq!((read("d/e/f").as_deref(), read("d/g").as_deref()), (Some("1"), Some("2")));
    assert_eq!(read("h").as_deref(), Some("2"));
}

#[test]
fn nothing_leads_out_and_nothing_is_two_things() {
    let long = "x".repeat(256);
    let deep = "a/".repeat(600) + "b";
    for files in [
        &[("../a", "")][..],
        &[("/etc/a", "")],
        &[("a/../../b", "")],
        &[("a\\b", "")],
        &[("a", ""), ("a/b", "")],
        &[("a/b", ""), ("a", "")],
        &[("a", ""), ("./a", "")],
        &[(long.as_str(), "")],
        &[(deep.as_str(), "")],
    ] {
        let archive = zip(files);
        assert!(package::check_files(&archive, &PackageLimits::default()).is_err(), "{files:?}");
        assert!(matches!(unpack(&[archive]), Err(UnpackError::Package(_))), "{files:?}");
    }
}

#[test]
fn the_second_of_two_attempts_changes_nothing() {
    let archive = zip(&[("a", "1")]);
    let dir = unpack(std::slice::from_ref(&archive)).unwrap();
    let (again, to) = (dir.path().join("again"), dir.path().join("to"));
    make(&[archive], &PackageLimits::default(), &again, &to).unwrap();
    assert!(!again.exists());
    assert_eq!(std::fs::read_to_string(to.join("a")).unwrap(), "1");
}

#[test]
fn files_are_bounded_together() {
    let limits = PackageLimits { files_bytes: 10, ..PackageLimits::default() };
    let fits = zip(&[("a", "12345"), ("b", "67890")]);
    let over = zip(&[("a", "12345"), ("b", "67890"), ("c", "!")]);
    assert!(package::check_files(&fits, &limits).is_ok());
    assert!(package::check_files(&over, &limits).is_err());
}

#[tokio::test]
async fn what_nobody_needs_goes_after_its_grace() {
    let dir = tempfile::tempdir().unwrap();
    let mounts = Mounts::open(dir.path()).unwrap();
    for name in ["needed", "idle"] {
        std::fs::create_dir(mounts.dir.join(name)).unwrap();
    }
    let needed = || HashSet::from(["needed".to_owned()]);
    assert_eq!(mounts.remove_idle(Duration::from_secs(3600), needed).await.unwrap(), 0);
    assert_eq!(mounts.remove_idle(Duration::ZERO, needed).await.unwrap(), 1);
    assert_eq!(names(&mounts.dir).unwrap(), ["needed"]);
    drop(Mounts::open(dir.path()).unwrap());
    assert!(names(&mounts.dir).unwrap().is_empty(), "a cache begins empty");
}
