//! What changes names: directories made, names removed and moved.

use std::time::SystemTime;

use super::{Body, Directory, Found, Kind, MemoryFs, MemoryFsError, NodeId, ROOT};

impl MemoryFs {
    pub(in crate::memory_fs) fn create_directory(
        &mut self,
        base: NodeId,
        path: &str,
    ) -> Result<(), MemoryFsError> {
        match self.walk(base, path)? {
            Found::Here(_) | Found::Name { id: Some(_), .. } => Err(MemoryFsError::Exist),
            Found::Name { directory, name, id: None, .. } => {
                self.create(directory, name, Body::Directory(Directory::default())).map(drop)
            }
        }
    }

    pub(in crate::memory_fs) fn remove_directory(
        &mut self,
        base: NodeId,
        path: &str,
    ) -> Result<(), MemoryFsError> {
        match self.walk(base, path)? {
            Found::Here(_) => Err(MemoryFsError::Invalid),
            Found::Name { id: None, .. } => Err(MemoryFsError::NoEntry),
            Found::Name { directory, name, id: Some(id), .. } => {
                if !self.directory(id)?.names.is_empty() {
                    return Err(MemoryFsError::NotEmpty);
                }
                self.remove(directory, name, id)
            }
        }
    }

    pub(in crate::memory_fs) fn unlink(
        &mut self,
        base: NodeId,
        path: &str,
    ) -> Result<(), MemoryFsError> {
        match self.walk(base, path)? {
            Found::Here(_) => Err(MemoryFsError::IsDirectory),
            Found::Name { id: None, .. } => Err(MemoryFsError::NoEntry),
            Found::Name { directory, name, id: Some(id), wants_directory } => {
                match self.kind(id)? {
                    Kind::Directory => Err(MemoryFsError::IsDirectory),
                    Kind::File if wants_directory => Err(MemoryFsError::NotDirectory),
                    Kind::File => self.remove(directory, name, id),
                }
            }
        }
    }

    pub(in crate::memory_fs) fn rename(
        &mut self,
        from_base: NodeId,
        from: &str,
        to_base: NodeId,
        to: &str,
    ) -> Result<(), MemoryFsError> {
        let Found::Name { directory, name, id, wants_directory } = self.walk(from_base, from)?
        else {
            return Err(MemoryFsError::Invalid);
        };
        let id = id.ok_or(MemoryFsError::NoEntry)?;
        let Found::Name {
            directory: to_directory,
            name: to_name,
            id: at_target,
            wants_directory: target_wants_directory,
        } = self.walk(to_base, to)?
        else {
            return Err(MemoryFsError::Invalid);
        };
        let is_file = self.kind(id)? == Kind::File;
        if is_file && (wants_directory || target_wants_directory) {
            return Err(MemoryFsError::NotDirectory);
        }
        if at_target == Some(id) {
            return Ok(());
        }
        if !self.node(to_directory)?.is_linked {
            return Err(MemoryFsError::NoEntry);
        }
        if !is_file && self.is_within(to_directory, id)? {
            return Err(MemoryFsError::Invalid);
        }
        if let Some(target) = at_target {
            match (is_file, self.kind(target)?) {
                (true, Kind::Directory) => return Err(MemoryFsError::IsDirectory),
                (false, Kind::File) => return Err(MemoryFsError::NotDirectory),
                (false, Kind::Directory) if !self.directory(target)?.names.is_empty() => {
                    return Err(MemoryFsError::NotEmpty);
                }
                _ => self.remove(to_directory, to_name, target)?,
            }
        }
        self.leave(directory, name)?;
        self.enter(to_directory, to_name, id)?;
        self.node_mut(id)?.changed = SystemTime::now();
        Ok(())
    }

    /// Whether a directory is `top` or below it.
    fn is_within(&self, mut at: NodeId, top: NodeId) -> Result<bool, MemoryFsError> {
        while at != top {
            if at == ROOT {
                return Ok(false);
            }
            at = self.directory(at)?.parent;
        }
        Ok(true)
    }
}
