//! What the path of a request says: its route and the numbers behind the question mark.

/// The path of a request, taken apart.
pub struct Target<'a> {
    pub path: &'a str,
    query: &'a str,
}

impl<'a> Target<'a> {
    pub fn of(path_with_query: &'a str) -> Self {
        let (path, query) = path_with_query.split_once('?').unwrap_or((path_with_query, ""));
        Self { path, query }
    }

    /// The number under this name; `default` if there is none.
    pub fn number(&self, name: &str, default: u64) -> u64 {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        let found = pairs.find(|(key, _)| *key == name).map(|(_, value)| value);
        found.and_then(|value| value.parse().ok()).unwrap_or(default)
    }
}

/// FNV-1a, a checksum in two lines.
pub struct Checksum(pub u64);

impl Checksum {
    pub fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// A piece of a large answer: every byte says where it stands, so that a lost one is seen.
pub fn pattern(from: u64, length: usize) -> Vec<u8> {
    (from..).take(length).map(|at| b'a' + (at % 23) as u8).collect()
}

/// Text as a JSON string.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            ' '.. => quoted.push(character),
            _ => quoted.push_str(&format!("\\u{:04x}", u32::from(character))),
        }
    }
    quoted.push('"');
    quoted
}
