//! Whole files of a local store, read and written in pieces: see [`hearth_engine::pieces`].

use bytes::Bytes;
use hearth_engine::pieces::{self, PIECE_BYTES};
use object_store::{GetResult, GetResultPayload, PutPayload};

/// What a store writes piece by piece; nothing is copied.
pub(crate) fn in_pieces(bytes: &Bytes) -> PutPayload {
    let begins = (0..bytes.len()).step_by(PIECE_BYTES);
    begins.map(|begin| bytes.slice(begin..bytes.len().min(begin + PIECE_BYTES))).collect()
}

/// What was found, whole. Whoever calls it has looked at its size.
///
/// # Errors
/// What reading says.
pub(crate) async fn read_whole(found: GetResult) -> std::io::Result<Bytes> {
    let GetResultPayload::File(mut file, _) = found.payload else {
        return Err(std::io::Error::other("a local store gave no file"));
    };
    let read = tokio::task::spawn_blocking(move || pieces::read_file(&mut file));
    let read = read.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    Ok(read?.into())
}

#[cfg(test)]
mod tests {
    use object_store::local::LocalFileSystem;
    use object_store::path::Path;
    use object_store::{ObjectStore as _, ObjectStoreExt as _, PutOptions};

    use super::*;

    #[tokio::test]
    async fn what_was_written_is_read_and_no_piece_is_large() {
        let directory = tempfile::tempdir().unwrap();
        let store = LocalFileSystem::new_with_prefix(directory.path()).unwrap();
        for length in [0, 1, PIECE_BYTES, 5 * PIECE_BYTES + 3] {
            let bytes: Bytes = (0..=250).cycle().take(length).collect();
            let payload = in_pieces(&bytes);
            assert!(payload.iter().all(|piece| piece.len() <= PIECE_BYTES));
            let path = Path::from(format!("{length}"));
            store.put_opts(&path, payload, PutOptions::default()).await.unwrap();
            assert_eq!(read_whole(store.get(&path).await.unwrap()).await.unwrap(), bytes);
        }
    }
}
