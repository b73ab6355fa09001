//! The checksum that uploads are known by in the official API: CRC-64/XZ. It guards against accidents only; trust rests on SHA-256.

use crc::{CRC_64_XZ, Crc, Table};
use sha2::{Digest, Sha256};

static CRC: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_XZ);

/// CRC-64/XZ (ECMA-182, reflected).
///
/// ```
/// assert_eq!(hearth_platform::crc64(b"123456789"), 11051210869376104954);
/// ```
pub fn crc64(bytes: &[u8]) -> u64 {
    CRC.checksum(bytes)
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        for half in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(half.into(), 16));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        assert_eq!(crc64(b"123456789"), 11_051_210_869_376_104_954);
        assert_eq!(crc64(b""), 0);
        assert_eq!(
            sha256(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
