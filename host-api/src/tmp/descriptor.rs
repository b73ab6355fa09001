//! An open file or directory of `/tmp` as a component holds it.

use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorStat, DescriptorType, MetadataHashValue, OpenFlags,
};

use super::READ_BYTES_MAX;
use super::codes::datetime;
use crate::memory_fs::{Kind, MemoryFsError, OpenHow, OpenNode, Stat};

/// The upper half of metadata hashes: tells `/tmp` from directories of the host.
const HASH_UPPER: u64 = 0x746d_7000;

/// One descriptor.
#[derive(Debug, Clone)]
pub(super) struct MemoryDescriptor {
    pub(super) node: OpenNode,
    pub(super) flags: DescriptorFlags,
}

impl MemoryDescriptor {
    /// The topmost directory.
    pub(super) fn root(node: OpenNode) -> Self {
        Self { node, flags: DescriptorFlags::READ | DescriptorFlags::MUTATE_DIRECTORY }
    }

    pub(super) fn open(
        &self,
        path: &str,
        how: OpenFlags,
        mut flags: DescriptorFlags,
    ) -> Result<Self, MemoryFsError> {
        let write = flags.contains(DescriptorFlags::WRITE);
        if !write {
            flags |= DescriptorFlags::READ;
        }
        let node = self.node.open(
            path,
            OpenHow {
                create: how.contains(OpenFlags::CREATE),
                exclusive: how.contains(OpenFlags::EXCLUSIVE),
                directory: how.contains(OpenFlags::DIRECTORY),
                truncate: how.contains(OpenFlags::TRUNCATE),
                write,
            },
        )?;
        if node.kind() == Kind::Directory {
            flags |= DescriptorFlags::MUTATE_DIRECTORY;
        }
        Ok(Self { node, flags })
    }

    /// The node, to read the file.
    pub(super) fn readable(&self) -> Result<&OpenNode, MemoryFsError> {
        match self.node.kind() {
            Kind::Directory => Err(MemoryFsError::IsDirectory),
            Kind::File if self.flags.contains(DescriptorFlags::READ) => Ok(&self.node),
            Kind::File => Err(MemoryFsError::BadDescriptor),
        }
    }

    /// The node, to change the file.
    pub(super) fn writable(&self) -> Result<&OpenNode, MemoryFsError> {
        match self.node.kind() {
            Kind::Directory => Err(MemoryFsError::IsDirectory),
            Kind::File if self.flags.contains(DescriptorFlags::WRITE) => Ok(&self.node),
            Kind::File => Err(MemoryFsError::NotPermitted),
        }
    }

    pub(super) fn directory(&self) -> Result<&OpenNode, MemoryFsError> {
        match self.node.kind() {
            Kind::Directory => Ok(&self.node),
            Kind::File => Err(MemoryFsError::NotDirectory),
        }
    }

    /// Up to `length` bytes from `offset` on; none at the end.
    pub(super) fn read(&self, length: u64, offset: u64) -> Result<Vec<u8>, MemoryFsError> {
        read_some(self.readable()?, offset, usize::try_from(length).unwrap_or(usize::MAX))
    }
}

/// Reads at most `length` bytes and no more than one read may copy.
pub(crate) fn read_some(
    node: &OpenNode,
    offset: u64,
    length: usize,
) -> Result<Vec<u8>, MemoryFsError> {
    let left = node.stat()?.size.saturating_sub(offset);
    let left = usize::try_from(left).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length.min(left).min(READ_BYTES_MAX)];
    let count = node.read(offset, &mut bytes)?;
    bytes.truncate(count);
    Ok(bytes)
}

pub(super) fn kind(kind: Kind) -> DescriptorType {
    match kind {
        Kind::File => DescriptorType::RegularFile,
        Kind::Directory => DescriptorType::Directory,
    }
}

pub(super) fn stat(stat: &Stat) -> DescriptorStat {
    DescriptorStat {
        type_: kind(stat.kind),
        link_count: stat.links,
        size: stat.size,
        data_access_timestamp: Some(datetime(stat.accessed)),
        data_modification_timestamp: Some(datetime(stat.modified)),
        status_change_timestamp: Some(datetime(stat.changed)),
    }
}

pub(super) fn hash(stat: &Stat) -> MetadataHashValue {
    MetadataHashValue { lower: stat.id, upper: HASH_UPPER }
}
