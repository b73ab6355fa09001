//! File operations, one a line, with nothing but `std::fs`; each answers one line.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};

/// Does one operation after the other, whether or not they succeed.
pub fn run(script: &str) -> String {
    let mut answer = String::new();
    for line in script.lines() {
        match operate(&line.split(' ').collect::<Vec<_>>()) {
            Ok(told) => answer.push_str(&told),
            Err(error) => answer.push_str(&name(&error)),
        }
        answer.push('\n');
    }
    answer
}

/// The kind of an error, or its number where Rust has no kind for it.
fn name(error: &io::Error) -> String {
    let kind = format!("{:?}", error.kind());
    match error.raw_os_error() {
        Some(code) if kind == "Uncategorized" => format!("errno {code}"),
        _ => kind,
    }
}

fn operate(words: &[&str]) -> io::Result<String> {
    match *words {
        ["write", path, text] => fs::write(path, text).map(done),
        ["append", path, text] => {
            let mut file = OpenOptions::new().append(true).create(true).open(path)?;
            file.write_all(text.as_bytes()).map(done)
        }
        ["fill", path, bytes] => fill(path, number(bytes)?),
        ["read", path] => fs::read_to_string(path),
        ["size", path] => Ok(fs::metadata(path)?.len().to_string()),
        ["kind", path] => {
            let metadata = fs::metadata(path)?;
            Ok(format!("file={} dir={}", metadata.is_file(), metadata.is_dir()))
        }
        ["resize", path, bytes] => {
            OpenOptions::new().write(true).open(path)?.set_len(number(bytes)?).map(done)
        }
        ["seek", path, from_end] => {
            let mut file = File::open(path)?;
            let back = i64::try_from(number(from_end)?).unwrap_or(i64::MAX);
            file.seek(SeekFrom::End(-back))?;
            let mut rest = String::new();
            file.read_to_string(&mut rest)?;
            Ok(rest)
        }
        ["new", path] => File::create_new(path).map(|_| "done".to_owned()),
        ["many", directory, count] => {
            for number in 0..number(count)? {
                File::create(format!("{directory}/{number}"))?;
            }
            Ok("done".to_owned())
        }
        ["mkdir", path] => fs::create_dir_all(path).map(done),
        ["rename", from, to] => fs::rename(from, to).map(done),
        ["remove", path] => fs::remove_file(path).map(done),
        ["rmdir", path] => fs::remove_dir(path).map(done),
        ["clear", path] => fs::remove_dir_all(path).map(done),
        ["list", path] => {
            let names = fs::read_dir(path)?
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect::<io::Result<Vec<_>>>()?;
            Ok(names.join(" "))
        }
        ["unlinked", path] => {
            let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
            file.write_all(b"still here")?;
            fs::remove_file(path)?;
            file.rewind()?;
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            Ok(text)
        }
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn done(_: ()) -> String {
    "done".to_owned()
}

fn number(text: &str) -> io::Result<u64> {
    text.parse().map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// Writes so many bytes; after a failure, how many there are.
fn fill(path: &str, bytes: u64) -> io::Result<String> {
    let mut file = File::create(path)?;
    let chunk = [7; 1000];
    let mut left = bytes;
    while left > 0 {
        let count = chunk.len().min(usize::try_from(left).unwrap_or(chunk.len()));
        if let Err(error) = file.write_all(&chunk[..count]) {
            return Ok(format!("{} at {}", name(&error), fs::metadata(path)?.len()));
        }
        left -= count as u64;
    }
    Ok("done".to_owned())
}
