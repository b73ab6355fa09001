//! Random operations against a file system so plain that it is right by looking: a map from whole paths to whole contents.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;

const PAGES: usize = 5;
const NODES: usize = 6;

#[derive(Debug, Clone)]
enum Op {
    Create(String),
    Write(String, u64, usize),
    Resize(String, u64),
    Directory(String),
    Unlink(String),
    RemoveDirectory(String),
    Rename(String, String),
}

/// A file: what it holds and which of its pages were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct PlainFile {
    bytes: Vec<u8>,
    pages: BTreeSet<usize>,
}

/// Paths to files, or to nothing for directories. The topmost directory is the empty path.
#[derive(Debug, Default)]
struct Plain(BTreeMap<String, Option<PlainFile>>);

type Answer<T> = Result<T, MemoryFsError>;

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

impl Plain {
    fn pages(&self) -> usize {
        self.0.values().flatten().map(|file| file.pages.len()).sum()
    }

    /// Whether every directory on the way is there.
    fn way(&self, path: &str) -> Answer<()> {
        for (at, _) in path.match_indices('/') {
            match self.0.get(&path[..at]) {
                None => return Err(MemoryFsError::NoEntry),
                Some(Some(_)) => return Err(MemoryFsError::NotDirectory),
                Some(None) => {}
            }
        }
        Ok(())
    }

    fn has_children(&self, path: &str) -> bool {
        self.0.keys().any(|other| parent(other) == path)
    }

    fn file(&mut self, path: &str) -> Answer<&mut PlainFile> {
        self.way(path)?;
        match self.0.get_mut(path) {
            None => Err(MemoryFsError::NoEntry),
            Some(None) => Err(MemoryFsError::IsDirectory),
            Some(Some(file)) => Ok(file),
        }
    }

    fn add(&mut self, path: &str, what: Option<PlainFile>) -> Answer<()> {
        if self.0.len() >= NODES {
            return Err(MemoryFsError::InsufficientSpace);
        }
        self.0.insert(path.to_owned(), what);
        Ok(())
    }

    fn apply(&mut self, op: &Op) -> Answer<u64> {
        match op {
            Op::Create(path) => {
                self.way(path)?;
                match self.0.get(path) {
                    Some(None) => Err(MemoryFsError::IsDirectory),
                    Some(Some(_)) => Ok(0),
                    None => self.add(path, Some(PlainFile::default())).map(|()| 0),
                }
            }
            Op::Write(path, offset, length) => self.write(path, *offset, *length),
            Op::Resize(path, size) => {
                let file = self.file(path)?;
                let size = usize::try_from(*size).unwrap();
                file.bytes.resize(size, 0);
                file.pages.retain(|page| page * 4096 < size);
                Ok(0)
            }
            Op::Directory(path) => {
                self.way(path)?;
                if self.0.contains_key(path) {
                    return Err(MemoryFsError::Exist);
                }
                self.add(path, None).map(|()| 0)
            }
            Op::Unlink(path) => {
                self.file(path)?;
                self.0.remove(path);
                Ok(0)
            }
            Op::RemoveDirectory(path) => {
                self.way(path)?;
                match self.0.get(path) {
                    None => Err(MemoryFsError::NoEntry),
                    Some(Some(_)) => Err(MemoryFsError::NotDirectory),
                    Some(None) if self.has_children(path) => Err(MemoryFsError::NotEmpty),
                    Some(None) => {
                        self.0.remove(path);
                        Ok(0)
                    }
                }
            }
            Op::Rename(from, to) => self.rename(from, to),
        }
    }

    fn write(&mut self, path: &str, offset: u64, length: usize) -> Answer<u64> {
        let mut room = PAGES - self.pages();
        let file = self.file(path)?;
        let offset = usize::try_from(offset).unwrap();
        let mut done = 0;
        while done < length {
            let page = (offset + done) / 4096;
            if !file.pages.contains(&page) {
                if room == 0 {
                    break;
                }
                room -= 1;
                file.pages.insert(page);
            }
            if file.bytes.len() <= offset + done {
                file.bytes.resize(offset + done + 1, 0);
            }
            file.bytes[offset + done] = 1 + u8::try_from(done % 251).unwrap();
            done += 1;
        }
        if done == 0 { Err(MemoryFsError::InsufficientSpace) } else { Ok(done as u64) }
    }

    fn rename(&mut self, from: &str, to: &str) -> Answer<u64> {
        self.way(from)?;
        let source = self.0.get(from).cloned().ok_or(MemoryFsError::NoEntry)?;
        self.way(to)?;
        if from == to {
            return Ok(0);
        }
        let inside = |path: &str| path.starts_with(&format!("{from}/"));
        if source.is_none() && inside(to) {
            return Err(MemoryFsError::Invalid);
        }
        match (source.is_some(), self.0.get(to)) {
            (true, Some(None)) => return Err(MemoryFsError::IsDirectory),
            (false, Some(Some(_))) => return Err(MemoryFsError::NotDirectory),
            (false, Some(None)) if self.has_children(to) => return Err(MemoryFsError::NotEmpty),
            _ => {}
        }
        let moved: Vec<String> =
            self.0.keys().filter(|path| *path == from || inside(path)).cloned().collect();
        for path in moved {
            let what = self.0.remove(&path).unwrap();
            self.0.insert(format!("{to}{}", &path[from.len()..]), what);
        }
        Ok(0)
    }
}

fn apply(root: &OpenNode, op: &Op) -> Answer<u64> {
    let writable = OpenHow { write: true, ..OpenHow::default() };
    match op {
        Op::Create(path) => root.open(path, OpenHow { create: true, ..writable }).map(|_| 0),
        Op::Write(path, offset, length) => {
            let bytes: Vec<u8> =
                (0..*length).map(|at| 1 + u8::try_from(at % 251).unwrap()).collect();
            root.open(path, writable)?.write(*offset, &bytes).map(|count| count as u64)
        }
        Op::Resize(path, size) => root.open(path, writable)?.set_size(*size).map(|()| 0),
        Op::Directory(path) => root.create_directory(path).map(|()| 0),
        Op::Unlink(path) => root.unlink(path).map(|()| 0),
        Op::RemoveDirectory(path) => root.remove_directory(path).map(|()| 0),
        Op::Rename(from, to) => root.rename(from, root, to).map(|()| 0),
    }
}

/// Everything below `node`, by whole paths.
fn collect(node: &OpenNode, prefix: &str, all: &mut BTreeMap<String, Option<Vec<u8>>>) {
    let mut from = 0;
    while let Some(entry) = node.entry_from(from).unwrap() {
        from = entry.place + 1;
        let path = format!("{prefix}{}", entry.name);
        let child = node.open(&entry.name, OpenHow::default()).unwrap();
        if entry.kind == Kind::Directory {
            collect(&child, &format!("{path}/"), all);
            all.insert(path, None);
        } else {
            let mut bytes = vec![0; usize::try_from(child.stat().unwrap().size).unwrap()];
            assert_eq!(child.read(0, &mut bytes).unwrap(), bytes.len());
            all.insert(path, Some(bytes));
        }
    }
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b"]), 1..4)
        .prop_map(|parts| parts.join("/"))
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => path().prop_map(Op::Create),
        4 => (path(), 0..20_000u64, 1..9_000usize).prop_map(|(path, at, length)| Op::Write(path, at, length)),
        2 => (path(), 0..20_000u64).prop_map(|(path, size)| Op::Resize(path, size)),
        3 => path().prop_map(Op::Directory),
        1 => path().prop_map(Op::Unlink),
        1 => path().prop_map(Op::RemoveDirectory),
        2 => (path(), path()).prop_map(|(from, to)| Op::Rename(from, to)),
    ]
}

proptest! {
    #[test]
    fn does_what_the_plain_one_does(ops in prop::collection::vec(op(), 1..60)) {
        let bounds = Bounds { bytes: PAGES as u64 * PAGE_BYTES, nodes: u32::try_from(NODES).unwrap() };
        let disk = Disk::new(bounds, Arc::new(Unmetered));
        let root = disk.root();
        let mut plain = Plain::default();
        for op in &ops {
            prop_assert_eq!(apply(&root, op), plain.apply(op), "{:?}", op);
            prop_assert_eq!(disk.bytes_held(), plain.pages() as u64 * PAGE_BYTES);
        }
        let mut all = BTreeMap::new();
        collect(&root, "", &mut all);
        let expected: BTreeMap<_, _> =
            plain.0.into_iter().map(|(path, file)| (path, file.map(|file| file.bytes))).collect();
        prop_assert_eq!(all, expected);
    }
}
