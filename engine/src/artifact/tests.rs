//! Every damage to an artifact is found before the bytes are trusted; the directory stays within its budget.

use super::*;

fn key(number: u8) -> ArtifactKey {
    ArtifactKey([number; 32])
}

fn store(directory: &Path, budget: u64) -> ArtifactStore {
    ArtifactStore::open(Some(directory.to_owned()), budget).unwrap()
}

fn found(store: &ArtifactStore, number: u8) -> Option<PathBuf> {
    store.find(&key(number), Patience::Disk).unwrap()
}

#[test]
fn what_was_put_is_found_after_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let path = store(home.path(), 1000).put(&key(1), b"code").unwrap();
    let reopened = store(home.path(), 1000);
    assert_eq!(found(&reopened, 1), Some(path));
    assert_eq!(found(&reopened, 2), None);
    assert_eq!(reopened.bytes(), 4);
}

#[test]
fn a_flip_of_any_byte_is_found() {
    let home = tempfile::tempdir().unwrap();
    let store = store(home.path(), 1000);
    for position in 0..4 {
        let path = store.put(&key(1), b"code").unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[position] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(found(&store, 1), None, "byte {position}");
    }
    assert_eq!(store.rejected.load(Ordering::Relaxed), 4);
}

#[test]
fn a_truncated_or_lengthened_artifact_is_found() {
    let home = tempfile::tempdir().unwrap();
    let store = store(home.path(), 1000);
    for damaged in [&b"cod"[..], b"", b"code!"] {
        let path = store.put(&key(1), b"code").unwrap();
        std::fs::write(&path, damaged).unwrap();
        assert_eq!(found(&store, 1), None);
    }
}

#[test]
fn an_artifact_of_another_function_is_foreign() {
    let home = tempfile::tempdir().unwrap();
    let path = store(home.path(), 1000).put(&key(1), b"code").unwrap();
    let seal = parts_of(&path).unwrap().1.to_owned();
    let swapped = home.path().join(format!("{}-{seal}.{ENDING}", key(2).hex()));
    std::fs::rename(&path, swapped).unwrap();
    assert_eq!(found(&store(home.path(), 1000), 2), None);
}

#[test]
fn an_artifact_of_another_directory_is_foreign() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = store(theirs.path(), 1000).put(&key(1), b"code").unwrap();
    std::fs::copy(&path, ours.path().join(path.file_name().unwrap())).unwrap();
    assert_eq!(found(&store(ours.path(), 1000), 1), None);
}

#[test]
fn a_symbolic_link_is_not_followed() {
    let home = tempfile::tempdir().unwrap();
    let store = store(home.path(), 1000);
    let path = store.put(&key(1), b"code").unwrap();
    let elsewhere = home.path().join("elsewhere");
    std::fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    assert_eq!(found(&store, 1), None);
}

#[test]
fn the_least_recently_used_goes_first() {
    let home = tempfile::tempdir().unwrap();
    let store = store(home.path(), 10);
    store.put(&key(1), b"11111").unwrap();
    store.put(&key(2), b"22222").unwrap();
    found(&store, 1).unwrap();
    store.put(&key(3), b"33333").unwrap();
    assert!(found(&store, 1).is_some());
    assert_eq!(found(&store, 2), None);
    assert!(found(&store, 3).is_some());
    assert_eq!(store.bytes(), 10);
}

#[test]
fn leftovers_of_a_crash_are_removed() {
    let home = tempfile::tempdir().unwrap();
    drop(store(home.path(), 10));
    std::fs::write(home.path().join("77-0.tmp"), b"half").unwrap();
    drop(store(home.path(), 10));
    assert!(!home.path().join("77-0.tmp").exists());
}

#[test]
fn a_private_directory_goes_with_the_store() {
    let store = ArtifactStore::open(None, 10).unwrap();
    let directory = store.directory.clone();
    store.put(&key(1), b"1").unwrap();
    drop(store);
    assert!(!directory.exists());
}
