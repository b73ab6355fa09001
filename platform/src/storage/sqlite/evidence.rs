//! What the files beside the database say about it, looked at before SQLite opens any of them: it takes a database that is gone for a
//! new one, and a log that is cut or damaged for one that ends there. Both would be losses that nobody is told of.
//!
//! Nothing is changed here, so whoever is refused is refused again. Formats: sqlite.org/fileformat2.html and walformat.html.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

use super::schema::FILE;
use crate::storage::StorageError;
use crate::storage::lock::io_error;

/// Whole commits behind a damaged frame from which on it is damage and not the end that a power cut leaves: that tears the last commit,
/// and at worst one or two that had failed and stood in its place before.
const COMMITS_BEHIND: u32 = 4;

/// What is shorter is no database, whatever it begins with.
const DATABASE_HEADER: u64 = 100;
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// Refuses a directory whose database or log is not all there, as far as can be told.
pub(super) fn check(dir: &Path) -> Result<(), StorageError> {
    let failed = |error: std::io::Error| io_error(dir, &error);
    let lost = |what: String| StorageError::Corrupt { path: dir.to_owned(), what };
    let database = length(&dir.join(FILE)).map_err(failed)?;
    let log = length(&dir.join(format!("{FILE}-wal"))).map_err(failed)?;
    let is_gone = database < DATABASE_HEADER;
    if is_gone && log > 0 {
        return Err(lost(format!("{FILE} is empty or missing, but its log is there")));
    }
    if is_gone && has_code(dir).map_err(failed)? {
        return Err(lost(format!(
            "{FILE} is empty or missing, but there is code of functions beside it"
        )));
    }
    if let Some(needed) = promised(dir).map_err(failed)?.filter(|needed| log < *needed) {
        return Err(lost(format!("{FILE}-wal has {log} of {needed} bytes")));
    }
    if log > 0
        && let Some(at) = damage(&dir.join(format!("{FILE}-wal"))).map_err(failed)?
    {
        return Err(lost(format!("{FILE}-wal is damaged at byte {at}, and more commits follow")));
    }
    Ok(())
}

/// The bytes of a file; none if it is not there. A directory of that name is left for SQLite to complain of.
fn length(path: &Path) -> std::io::Result<u64> {
    match path.metadata() {
        Ok(about) => Ok(about.len()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

fn has_code(dir: &Path) -> std::io::Result<bool> {
    match dir.join(crate::backup::CODE).read_dir() {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The length that the log has at least, by its index, which a process that was killed leaves behind. It is written after the log is
/// synced, so it never promises too much; a power cut may leave an older one, or none that fits.
fn promised(dir: &Path) -> std::io::Result<Option<u64>> {
    let mut index = [0; 100];
    match File::open(dir.join(format!("{FILE}-shm")))
        .and_then(|mut file| file.read_exact(&mut index))
    {
        Ok(()) => {}
        Err(error) if [ErrorKind::NotFound, ErrorKind::UnexpectedEof].contains(&error.kind()) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    }
    let number = |at: usize| {
        index.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes)
    };
    // Two copies of a header of 48 bytes, so that a torn one is known.
    let is_whole = index.get(..48) == index.get(48..96) && index.get(12) == Some(&1);
    let page =
        index.get(14..16).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_ne_bytes);
    // A page of 64 KiB does not fit and is written as 1.
    let page = if page == 1 { 65_536 } else { u64::from(page) };
    let (frames, copied_back) = (number(16), number(96));
    if !is_whole || frames <= copied_back || !has_salts(dir, index.get(32..40))? {
        return Ok(None);
    }
    Ok(Some(LOG_HEADER as u64 + u64::from(frames) * (FRAME_HEADER as u64 + page)))
}

/// Whether the log's header, if there is one left, is of the same log.
fn has_salts(dir: &Path, salts: Option<&[u8]>) -> std::io::Result<bool> {
    let mut header = [0; LOG_HEADER];
    match File::open(dir.join(format!("{FILE}-wal")))
        .and_then(|mut file| file.read_exact(&mut header))
    {
        Ok(()) => Ok(header.get(16..24) == salts),
        Err(error) if [ErrorKind::NotFound, ErrorKind::UnexpectedEof].contains(&error.kind()) => {
            Ok(true)
        }
        Err(error) => Err(error),
    }
}

/// The running sum of a log: over pairs of numbers, in the order of bytes that its header names.
#[derive(Clone, Copy)]
struct Sum {
    value: (u32, u32),
    is_big_endian: bool,
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        let number = |bytes: [u8; 4]| match self.is_big_endian {
            true => u32::from_be_bytes(bytes),
            false => u32::from_le_bytes(bytes),
        };
        let (mut first, mut second) = self.value;
        for pair in bytes.as_chunks::<8>().0 {
            let [a, b, c, d, e, f, g, h] = *pair;
            first = first.wrapping_add(number([a, b, c, d])).wrapping_add(second);
            second = second.wrapping_add(number([e, f, g, h])).wrapping_add(first);
        }
        self.value = (first, second);
    }

    fn is(self, bytes: &[u8]) -> bool {
        let (first, second) = self.value;
        bytes.get(..4) == Some(&first.to_be_bytes())
            && bytes.get(4..8) == Some(&second.to_be_bytes())
    }
}

/// Where the log is damaged, if whole commits follow; an end that is torn is no damage.
fn damage(path: &Path) -> std::io::Result<Option<u64>> {
    let mut file = BufReader::with_capacity(1 << 16, File::open(path)?);
    let mut header = [0; LOG_HEADER];
    if !filled(&mut file, &mut header)? {
        return Ok(None);
    }
    let at = |at: usize| {
        header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
    };
    let mut sum = Sum { value: (0, 0), is_big_endian: at(0) & 1 == 1 };
    sum.add(header.get(..24).unwrap_or_default());
    let header_is_whole = at(0) & !1 == 0x377f_0682 && sum.is(header.get(24..).unwrap_or_default());
    let page = usize::try_from(at(8))
        .ok()
        .filter(|page| (512..=65_536).contains(page) && page.is_power_of_two());
    // Ours are never others, so a header that is damaged says nothing that is needed.
    let page = if header_is_whole { page.unwrap_or(4096) } else { 4096 };
    // Without a header, frames that follow one another with the same salts are of one log.
    let mut salts = header.get(16..24).unwrap_or_default().to_vec();
    let mut frame = vec![0; FRAME_HEADER + page];
    let mut damaged_at = (!header_is_whole).then_some(0);
    let mut place = LOG_HEADER as u64;
    let mut behind = 0;
    while filled(&mut file, &mut frame)? {
        let (about, content) = frame.split_at(FRAME_HEADER);
        let own_salts = about.get(8..16).unwrap_or_default();
        let is_ours = salts == own_salts;
        if !header_is_whole {
            own_salts.clone_into(&mut salts);
        }
        if damaged_at.is_none() {
            sum.add(about.get(..8).unwrap_or_default());
            sum.add(content);
            if !is_ours || !sum.is(about.get(16..).unwrap_or_default()) {
                damaged_at = Some(place);
            }
        }
        let ends_a_commit = about.get(4..8).is_some_and(|pages| pages != [0; 4]);
        behind += u32::from(damaged_at.is_some() && is_ours && ends_a_commit);
        place += frame.len() as u64;
    }
    Ok(damaged_at.filter(|_| behind >= COMMITS_BEHIND))
}

/// Reads a whole piece; not if the file ends before.
fn filled(file: &mut impl Read, piece: &mut [u8]) -> std::io::Result<bool> {
    match file.read_exact(piece) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
