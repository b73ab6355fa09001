//! The nodes of a file system in memory, and every operation on them.
//!
//! Nodes stand in one table under numbers that are never used twice. A node stays while a name leads to it or something has
//! it open; its pages and itself are counted for as long.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use super::account::{Account, Space};
use super::content::Content;
use super::error::MemoryFsError;
use super::facts::{Bounds, Kind, Listed, NodeId, OpenHow, Stat};
use super::path::{Path, Step};

mod changes;

const ROOT: NodeId = 1;

struct Node {
    body: Body,
    opens: u32,
    is_linked: bool,
    accessed: SystemTime,
    modified: SystemTime,
    changed: SystemTime,
}

enum Body {
    File(Content),
    Directory(Directory),
}

#[derive(Default)]
struct Directory {
    parent: NodeId,
    names: BTreeMap<Arc<str>, Entry>,
    /// The same in the order in which they came.
    places: BTreeMap<u64, Arc<str>>,
    next_place: u64,
}

#[derive(Clone, Copy)]
struct Entry {
    id: NodeId,
    place: u64,
}

/// Where a path leads.
enum Found<'p> {
    /// To a directory that the path names by no name of its own: `.`, `..`.
    Here(NodeId),
    /// To a name in a directory, and maybe to a node.
    Name { directory: NodeId, name: &'p str, id: Option<NodeId>, wants_directory: bool },
}

/// A file system in memory.
pub struct MemoryFs {
    nodes: HashMap<NodeId, Node>,
    next: NodeId,
    account: Account,
}

impl std::fmt::Debug for MemoryFs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Names and contents are the guest's, and may be secrets.
        f.debug_struct("MemoryFs").field("account", &self.account).finish_non_exhaustive()
    }
}

impl MemoryFs {
    /// An empty one.
    #[must_use]
    pub fn new(bounds: Bounds, space: Arc<dyn Space>) -> Self {
        let mut fs =
            Self { nodes: HashMap::new(), next: ROOT, account: Account::new(bounds, space) };
        fs.insert(Body::Directory(Directory { parent: ROOT, ..Directory::default() }));
        fs
    }

    pub(super) fn root(&self) -> NodeId {
        ROOT
    }

    /// Bytes of file contents that are held, those of removed files that are open included.
    #[must_use]
    pub fn bytes_held(&self) -> u64 {
        self.account.bytes()
    }

    /// Files and directories that are held, the topmost one excluded.
    #[must_use]
    pub fn nodes_held(&self) -> u32 {
        self.account.nodes()
    }

    fn insert(&mut self, body: Body) -> NodeId {
        let now = SystemTime::now();
        let id = self.next;
        self.next += 1;
        let node =
            Node { body, opens: 0, is_linked: true, accessed: now, modified: now, changed: now };
        self.nodes.insert(id, node);
        id
    }

    fn node(&self, id: NodeId) -> Result<&Node, MemoryFsError> {
        self.nodes.get(&id).ok_or(MemoryFsError::NoEntry)
    }

    fn node_mut(&mut self, id: NodeId) -> Result<&mut Node, MemoryFsError> {
        self.nodes.get_mut(&id).ok_or(MemoryFsError::NoEntry)
    }

    fn directory(&self, id: NodeId) -> Result<&Directory, MemoryFsError> {
        match &self.node(id)?.body {
            Body::Directory(directory) => Ok(directory),
            Body::File(_) => Err(MemoryFsError::NotDirectory),
        }
    }

    fn kind(&self, id: NodeId) -> Result<Kind, MemoryFsError> {
        Ok(match self.node(id)?.body {
            Body::File(_) => Kind::File,
            Body::Directory(_) => Kind::Directory,
        })
    }

    pub(super) fn retain(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.opens = node.opens.saturating_add(1);
        }
    }

    pub(super) fn release(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.opens = node.opens.saturating_sub(1);
        }
        self.drop_unused(id);
    }

    fn drop_unused(&mut self, id: NodeId) {
        if self.nodes.get(&id).is_none_or(|node| node.is_linked || node.opens > 0) {
            return;
        }
        if let Some(Node { body: Body::File(content), .. }) = self.nodes.remove(&id) {
            self.account.give_pages(content.pages());
        }
        self.account.give_node();
    }

    fn walk<'p>(&self, base: NodeId, text: &'p str) -> Result<Found<'p>, MemoryFsError> {
        let path = Path::parse(text)?;
        let mut way = vec![base];
        self.directory(base)?;
        for step in path.to_parent {
            self.take_step(&mut way, step)?;
        }
        match path.last {
            Some(Step::Down(name)) => {
                let directory = way.last().copied().unwrap_or(base);
                let id = self.directory(directory)?.names.get(name).map(|entry| entry.id);
                let wants_directory = path.wants_directory;
                Ok(Found::Name { directory, name, id, wants_directory })
            }
            last => {
                if let Some(step) = last {
                    self.take_step(&mut way, step)?;
                }
                Ok(Found::Here(way.last().copied().unwrap_or(base)))
            }
        }
    }

    fn take_step(&self, way: &mut Vec<NodeId>, step: Step<'_>) -> Result<(), MemoryFsError> {
        match step {
            Step::Up if way.len() < 2 => Err(MemoryFsError::NotPermitted),
            Step::Up => {
                way.pop();
                Ok(())
            }
            Step::Down(name) => {
                let at = way.last().copied().unwrap_or(ROOT);
                let entry = self.directory(at)?.names.get(name).ok_or(MemoryFsError::NoEntry)?;
                self.directory(entry.id)?;
                way.push(entry.id);
                Ok(())
            }
        }
    }

    /// The node that a path names.
    pub(super) fn find(&self, base: NodeId, path: &str) -> Result<NodeId, MemoryFsError> {
        match self.walk(base, path)? {
            Found::Here(id) => Ok(id),
            Found::Name { id, wants_directory, .. } => {
                let id = id.ok_or(MemoryFsError::NoEntry)?;
                if wants_directory {
                    self.directory(id)?;
                }
                Ok(id)
            }
        }
    }

    pub(super) fn open(
        &mut self,
        base: NodeId,
        path: &str,
        how: OpenHow,
    ) -> Result<(NodeId, Kind), MemoryFsError> {
        if how.create && how.directory {
            return Err(MemoryFsError::Invalid);
        }
        let (id, wants_directory) = match self.walk(base, path)? {
            Found::Here(id) => (id, true),
            Found::Name { id: Some(id), wants_directory, .. } => (id, wants_directory),
            Found::Name { directory, name, id: None, wants_directory } => {
                if !how.create {
                    return Err(MemoryFsError::NoEntry);
                }
                if wants_directory {
                    return Err(MemoryFsError::IsDirectory);
                }
                let id = self.create(directory, name, Body::File(Content::default()))?;
                self.retain(id);
                return Ok((id, Kind::File));
            }
        };
        if how.create && how.exclusive {
            return Err(MemoryFsError::Exist);
        }
        let kind = self.kind(id)?;
        if kind == Kind::File && (how.directory || wants_directory) {
            return Err(MemoryFsError::NotDirectory);
        }
        if kind == Kind::Directory && (how.write || how.truncate || how.create) {
            return Err(MemoryFsError::IsDirectory);
        }
        if how.truncate {
            self.set_size(id, 0)?;
        }
        self.retain(id);
        Ok((id, kind))
    }

    /// A new node under a name that is free.
    fn create(
        &mut self,
        directory: NodeId,
        name: &str,
        body: Body,
    ) -> Result<NodeId, MemoryFsError> {
        if !self.node(directory)?.is_linked {
            return Err(MemoryFsError::NoEntry);
        }
        self.account.take_node()?;
        let id = self.insert(body);
        self.enter(directory, name, id)?;
        Ok(id)
    }

    fn enter(&mut self, directory: NodeId, name: &str, id: NodeId) -> Result<(), MemoryFsError> {
        let node = self.node_mut(directory)?;
        let Body::Directory(body) = &mut node.body else { return Err(MemoryFsError::NotDirectory) };
        let (name, place): (Arc<str>, u64) = (name.into(), body.next_place);
        body.next_place += 1;
        body.places.insert(place, name.clone());
        body.names.insert(name, Entry { id, place });
        node.modified = SystemTime::now();
        node.changed = node.modified;
        if let Body::Directory(moved) = &mut self.node_mut(id)?.body {
            moved.parent = directory;
        }
        Ok(())
    }

    /// Takes a name out of a directory; its node is left alone.
    fn leave(&mut self, directory: NodeId, name: &str) -> Result<(), MemoryFsError> {
        let node = self.node_mut(directory)?;
        let Body::Directory(body) = &mut node.body else { return Err(MemoryFsError::NotDirectory) };
        let entry = body.names.remove(name).ok_or(MemoryFsError::NoEntry)?;
        body.places.remove(&entry.place);
        node.modified = SystemTime::now();
        node.changed = node.modified;
        Ok(())
    }

    /// Takes the name out, and the node unless something has it open.
    fn remove(&mut self, directory: NodeId, name: &str, id: NodeId) -> Result<(), MemoryFsError> {
        self.leave(directory, name)?;
        let node = self.node_mut(id)?;
        node.is_linked = false;
        node.changed = SystemTime::now();
        self.drop_unused(id);
        Ok(())
    }

    pub(super) fn stat(&self, id: NodeId) -> Result<Stat, MemoryFsError> {
        let node = self.node(id)?;
        let (kind, size) = match &node.body {
            Body::File(content) => (Kind::File, content.size()),
            Body::Directory(_) => (Kind::Directory, 0),
        };
        Ok(Stat {
            id,
            kind,
            size,
            links: u64::from(node.is_linked),
            accessed: node.accessed,
            modified: node.modified,
            changed: node.changed,
        })
    }

    pub(super) fn read(
        &self,
        id: NodeId,
        offset: u64,
        out: &mut [u8],
    ) -> Result<usize, MemoryFsError> {
        match &self.node(id)?.body {
            Body::File(content) => Ok(content.read(offset, out)),
            Body::Directory(_) => Err(MemoryFsError::IsDirectory),
        }
    }

    /// The contents of a file that is about to change, and the account that pays.
    fn changing(&mut self, id: NodeId) -> Result<(&mut Content, &mut Account), MemoryFsError> {
        let node = self.nodes.get_mut(&id).ok_or(MemoryFsError::NoEntry)?;
        let Body::File(content) = &mut node.body else { return Err(MemoryFsError::IsDirectory) };
        node.modified = SystemTime::now();
        node.changed = node.modified;
        Ok((content, &mut self.account))
    }

    pub(super) fn write(
        &mut self,
        id: NodeId,
        offset: u64,
        bytes: &[u8],
    ) -> Result<usize, MemoryFsError> {
        let (content, account) = self.changing(id)?;
        content.write(offset, bytes, account)
    }

    pub(super) fn set_size(&mut self, id: NodeId, size: u64) -> Result<(), MemoryFsError> {
        let (content, account) = self.changing(id)?;
        content.set_size(size, account)
    }

    pub(super) fn set_times(
        &mut self,
        id: NodeId,
        accessed: Option<SystemTime>,
        modified: Option<SystemTime>,
    ) -> Result<(), MemoryFsError> {
        let node = self.node_mut(id)?;
        node.accessed = accessed.unwrap_or(node.accessed);
        node.modified = modified.unwrap_or(node.modified);
        node.changed = SystemTime::now();
        Ok(())
    }

    pub(super) fn entry_from(
        &self,
        id: NodeId,
        from: u64,
    ) -> Result<Option<Listed>, MemoryFsError> {
        let directory = self.directory(id)?;
        let Some((&place, name)) = directory.places.range(from..).next() else { return Ok(None) };
        let id = directory.names.get(name).ok_or(MemoryFsError::NoEntry)?.id;
        Ok(Some(Listed { place, name: name.clone(), id, kind: self.kind(id)? }))
    }
}
