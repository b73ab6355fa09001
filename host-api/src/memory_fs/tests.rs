//! A file system in memory: what POSIX promises of one this small, and its bounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::*;

const WRITE: OpenHow =
    OpenHow { create: true, exclusive: false, directory: false, truncate: false, write: true };
const READ: OpenHow =
    OpenHow { create: false, exclusive: false, directory: false, truncate: false, write: false };

/// Counts what is taken of it, up to a limit.
#[derive(Debug)]
struct Counter {
    taken: AtomicU64,
    limit: u64,
}

impl Space for Counter {
    fn take(&self, bytes: u64) -> bool {
        let fits = self.taken.load(Ordering::Relaxed) + bytes <= self.limit;
        if fits {
            self.taken.fetch_add(bytes, Ordering::Relaxed);
        }
        fits
    }

    fn give_back(&self, bytes: u64) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
    }
}

fn disk(pages: u64, nodes: u32) -> (Disk, OpenNode) {
    let disk = Disk::new(Bounds { bytes: pages * PAGE_BYTES, nodes }, Arc::new(Unmetered));
    let root = disk.root();
    (disk, root)
}

fn contents(node: &OpenNode) -> Vec<u8> {
    let size = usize::try_from(node.stat().unwrap().size).unwrap();
    let mut all = vec![0xAA; size + 1];
    assert_eq!(node.read(0, &mut all).unwrap(), size);
    all.truncate(size);
    all
}

fn names(node: &OpenNode) -> Vec<String> {
    let mut names = Vec::new();
    let mut from = 0;
    while let Some(entry) = node.entry_from(from).unwrap() {
        from = entry.place + 1;
        names.push(entry.name.to_string());
    }
    names
}

#[test]
fn a_file_holds_what_was_written_where() {
    let (_, root) = disk(16, 16);
    let file = root.open("a", WRITE).unwrap();
    assert_eq!(file.write(0, b"hello").unwrap(), 5);
    assert_eq!(file.append(b" world").unwrap(), (6, 11));
    assert_eq!(file.write(4094, b"across").unwrap(), 6);
    let all = contents(&root.open("a", READ).unwrap());
    assert_eq!(&all[..11], b"hello world");
    assert!(all[11..4094].iter().all(|&byte| byte == 0));
    assert_eq!(&all[4094..], b"across");
    assert_eq!(file.read(5000, &mut [0; 4]).unwrap(), 0, "beyond the end there is nothing");
    let emptied = root.open("a", OpenHow { truncate: true, ..WRITE }).unwrap();
    assert_eq!(emptied.stat().unwrap().size, 0);
}

#[test]
fn holes_are_free_and_read_as_zeros() {
    let (disk, root) = disk(1, 16);
    let file = root.open("sparse", WRITE).unwrap();
    file.set_size(1 << 30).unwrap();
    assert_eq!((file.stat().unwrap().size, disk.bytes_held()), (1 << 30, 0));
    file.write((1 << 30) - 1, b"x").unwrap();
    assert_eq!(disk.bytes_held(), PAGE_BYTES);
    let mut some = [1; 8];
    assert_eq!(file.read(1 << 20, &mut some).unwrap(), 8);
    assert_eq!(some, [0; 8]);
    assert_eq!(file.set_size(FILE_BYTES_MAX + 1), Err(MemoryFsError::FileTooLarge));
    assert_eq!(file.write(u64::MAX, b"x"), Err(MemoryFsError::FileTooLarge));
}

#[test]
fn what_was_cut_off_does_not_come_back() {
    let (disk, root) = disk(4, 4);
    let file = root.open("a", WRITE).unwrap();
    file.write(0, &[7; 9000]).unwrap();
    assert_eq!(disk.bytes_held(), 3 * PAGE_BYTES);
    file.set_size(10).unwrap();
    assert_eq!(disk.bytes_held(), PAGE_BYTES);
    file.set_size(20).unwrap();
    assert_eq!(contents(&file)[..], [[7; 10], [0; 10]].concat());
    file.set_size(0).unwrap();
    assert_eq!(disk.bytes_held(), 0);
}

#[test]
fn a_write_over_the_bound_ends_early_and_then_fails() {
    let (disk, root) = disk(2, 16);
    let file = root.open("a", WRITE).unwrap();
    assert_eq!(file.write(0, &[1; 10_000]).unwrap(), 8192, "as much as there is room for");
    assert_eq!(file.write(8192, b"x"), Err(MemoryFsError::InsufficientSpace));
    assert_eq!(file.write(0, b"over what is there").unwrap(), 18);
    assert_eq!(disk.bytes_held(), 8192);
    root.unlink("a").unwrap();
    drop(file);
    assert_eq!(disk.bytes_held(), 0);
    assert_eq!(root.open("b", WRITE).unwrap().write(0, b"x").unwrap(), 1);
}

#[test]
fn what_is_removed_but_open_keeps_counting() {
    let (disk, root) = disk(1, 1);
    let file = root.open("a", WRITE).unwrap();
    let again = file.clone();
    file.write(0, b"still here").unwrap();
    root.unlink("a").unwrap();
    assert_eq!(root.open("a", READ).unwrap_err(), MemoryFsError::NoEntry);
    drop(file);
    assert_eq!(contents(&again), b"still here");
    assert_eq!((again.stat().unwrap().links, disk.bytes_held()), (0, PAGE_BYTES));
    assert_eq!(root.open("b", WRITE).unwrap_err(), MemoryFsError::InsufficientSpace);
    drop(again);
    assert_eq!(disk.bytes_held(), 0);
    root.open("b", WRITE).unwrap();
}

#[test]
fn nodes_are_bounded() {
    let (_, root) = disk(1, 2);
    root.create_directory("a").unwrap();
    root.open("a/b", WRITE).unwrap();
    assert_eq!(root.open("c", WRITE).unwrap_err(), MemoryFsError::InsufficientSpace);
    assert_eq!(root.create_directory("c"), Err(MemoryFsError::InsufficientSpace));
    root.unlink("a/b").unwrap();
    root.create_directory("c").unwrap();
}

#[test]
fn who_counts_the_hosts_memory_may_refuse_and_gets_all_back() {
    let space = Arc::new(Counter { taken: AtomicU64::new(0), limit: 6000 });
    let disk = Disk::new(Bounds { bytes: 1 << 20, nodes: 100 }, space.clone());
    let root = disk.root();
    let file = root.open("a", WRITE).unwrap();
    assert_eq!(file.write(0, &[1; 8192]).unwrap(), 4096);
    root.create_directory("b").unwrap();
    root.create_directory("c").unwrap();
    assert_eq!(root.create_directory("d"), Err(MemoryFsError::InsufficientSpace));
    assert_eq!(space.taken.load(Ordering::Relaxed), 4096 + 3 * 512);
    drop((file, root));
    assert!(space.taken.load(Ordering::Relaxed) > 0, "the disk is still there");
    drop(disk);
    assert_eq!(space.taken.load(Ordering::Relaxed), 0);
}

#[test]
fn no_path_leads_out() {
    let (_, root) = disk(16, 16);
    root.create_directory("a").unwrap();
    root.create_directory("a/b").unwrap();
    root.open("f", WRITE).unwrap();
    let inner = root.open("a", READ).unwrap();
    for bad in ["..", "../f", "b/../../f", "/f", "/"] {
        assert_eq!(inner.stat_at(bad).unwrap_err(), MemoryFsError::NotPermitted, "{bad}");
    }
    assert_eq!(root.stat_at("a/b/../../f").unwrap().kind, Kind::File);
    assert_eq!(root.stat_at("a/none/../../f").unwrap_err(), MemoryFsError::NoEntry);
    assert_eq!(root.stat_at("f/..").unwrap_err(), MemoryFsError::NotDirectory);
    assert_eq!(root.stat_at("f/").unwrap_err(), MemoryFsError::NotDirectory);
    assert_eq!(root.stat_at("").unwrap_err(), MemoryFsError::NoEntry);
    assert_eq!(root.stat_at("a\0").unwrap_err(), MemoryFsError::Invalid);
    assert_eq!(root.stat_at(&"x".repeat(256)).unwrap_err(), MemoryFsError::NameTooLong);
    assert_eq!(root.stat_at(&"./".repeat(2049)).unwrap_err(), MemoryFsError::NameTooLong);
    assert_eq!(root.stat_at("a/./b/.").unwrap().kind, Kind::Directory);
}

#[test]
fn opening_is_as_strict_as_posix() {
    let (_, root) = disk(16, 16);
    root.create_directory("d").unwrap();
    root.open("f", WRITE).unwrap();
    let open = |path: &str, how: OpenHow| root.open(path, how).map(drop);
    assert_eq!(open("f", OpenHow { exclusive: true, ..WRITE }), Err(MemoryFsError::Exist));
    assert_eq!(open("f", OpenHow { directory: true, ..READ }), Err(MemoryFsError::NotDirectory));
    assert_eq!(open("d", OpenHow { write: true, ..READ }), Err(MemoryFsError::IsDirectory));
    assert_eq!(open("d", OpenHow { directory: true, ..READ }), Ok(()));
    assert_eq!(open("n/", WRITE), Err(MemoryFsError::IsDirectory));
    assert_eq!(open("n", READ), Err(MemoryFsError::NoEntry));
    assert_eq!(open(".", READ), Ok(()));
    assert_eq!(root.read(0, &mut [0; 1]), Err(MemoryFsError::IsDirectory));
}

#[test]
fn renaming_moves_replaces_and_refuses() {
    let (_, root) = disk(16, 16);
    root.open("f", WRITE).unwrap().write(0, b"f").unwrap();
    root.open("g", WRITE).unwrap().write(0, b"g").unwrap();
    for directory in ["d", "d/e", "empty"] {
        root.create_directory(directory).unwrap();
    }
    root.rename("f", &root, "g").unwrap();
    assert_eq!(contents(&root.open("g", READ).unwrap()), b"f");
    root.rename("g", &root.open("d", READ).unwrap(), "e/h").unwrap();
    assert_eq!(contents(&root.open("d/e/h", READ).unwrap()), b"f");
    let rename = |from: &str, to: &str| root.rename(from, &root, to);
    assert_eq!(rename("d", "d/e/d"), Err(MemoryFsError::Invalid), "into itself");
    assert_eq!(rename("empty", "d"), Err(MemoryFsError::NotEmpty));
    assert_eq!(rename("d/e/h", "d"), Err(MemoryFsError::IsDirectory));
    assert_eq!(rename("d", "d/e/h"), Err(MemoryFsError::Invalid));
    assert_eq!(rename("empty", "d/e/h"), Err(MemoryFsError::NotDirectory));
    assert_eq!(rename("none", "x"), Err(MemoryFsError::NoEntry));
    assert_eq!(rename("d", "d"), Ok(()));
    rename("d/e", "empty").unwrap();
    assert_eq!(contents(&root.open("empty/h", READ).unwrap()), b"f");
    assert_eq!(root.stat_at("empty/../d/e").unwrap_err(), MemoryFsError::NoEntry);
    let (_, other) = disk(1, 1);
    assert_eq!(root.rename("d", &other, "d"), Err(MemoryFsError::CrossDevice));
}

#[test]
fn a_removed_directory_takes_nothing_more() {
    let (_, root) = disk(16, 16);
    root.create_directory("d").unwrap();
    let inside = root.open("d", READ).unwrap();
    inside.open("f", WRITE).unwrap();
    assert_eq!(root.remove_directory("d"), Err(MemoryFsError::NotEmpty));
    assert_eq!(root.unlink("d"), Err(MemoryFsError::IsDirectory));
    assert_eq!(root.remove_directory("d/f"), Err(MemoryFsError::NotDirectory));
    inside.unlink("f").unwrap();
    root.remove_directory("d").unwrap();
    assert_eq!(inside.open("f", WRITE).unwrap_err(), MemoryFsError::NoEntry);
    root.open("g", WRITE).unwrap();
    assert_eq!(root.rename("g", &inside, "g"), Err(MemoryFsError::NoEntry));
    assert_eq!(names(&inside), Vec::<String>::new());
}

#[test]
fn listing_sees_each_entry_that_stays_once() {
    let (_, root) = disk(16, 16);
    for name in ["c", "a", "b", "d"] {
        root.open(name, WRITE).unwrap();
    }
    assert_eq!(names(&root), ["c", "a", "b", "d"]);
    let first = root.entry_from(0).unwrap().unwrap();
    root.unlink("c").unwrap();
    root.unlink("a").unwrap();
    let second = root.entry_from(first.place + 1).unwrap().unwrap();
    assert_eq!(&*second.name, "b", "removals do not shift what follows");
    root.open("a", WRITE).unwrap();
    assert_eq!(names(&root), ["b", "d", "a"]);
}

#[test]
fn times_follow_changes_and_can_be_set() {
    let (_, root) = disk(16, 16);
    let before = SystemTime::now() - Duration::from_secs(1);
    let file = root.open("f", WRITE).unwrap();
    assert!(file.stat().unwrap().modified > before);
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(5);
    root.set_times_at("f", None, Some(then)).unwrap();
    let stat = file.stat().unwrap();
    assert_eq!(stat.modified, then);
    assert!(stat.accessed > before && stat.changed > before);
    file.write(0, b"x").unwrap();
    assert!(file.stat().unwrap().modified > before);
}

#[test]
fn names_and_contents_are_not_printed() {
    let (disk, root) = disk(16, 16);
    root.open("secret-name", WRITE).unwrap().write(0, b"secret").unwrap();
    let printed = format!("{disk:?} {root:?}");
    assert!(!printed.contains("secret") && !printed.contains("115"), "{printed}");
}
