//! Files in /tmp through `wasi:filesystem` 0.3, on the bare bindings of the crate `wasip3`: contents are streams, and the future beside
//! each says how it ended. The event is a script, one operation a line; each answers one line.

use wasip3::filesystem::preopens::get_directories;
use wasip3::filesystem::types::{
    Descriptor, DescriptorFlags, ErrorCode as FileError, OpenFlags, PathFlags,
};
use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::{wit_bindgen, wit_future, wit_stream};

struct Http;

wasip3::http::service::export!(Http);

impl wasip3::exports::http::handler::Guest for Http {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let (_, served) = wit_future::new(|| Ok(()));
        let (body, _) = Request::consume_body(request, served);
        let script = body.collect().await;
        let mut answer = String::new();
        for line in String::from_utf8_lossy(&script).lines() {
            match operate(&line.split(' ').collect::<Vec<_>>()).await {
                Ok(told) => answer.push_str(&told),
                Err(error) => answer.push_str(&format!("{error:?}")),
            }
            answer.push('\n');
        }
        Ok(text(answer))
    }
}

/// The directory that the host opened for this path, and the rest of the path from there.
fn place(path: &str) -> Result<(Descriptor, String), FileError> {
    for (directory, name) in get_directories() {
        match path.strip_prefix(name.as_str()) {
            Some("") => return Ok((directory, ".".to_owned())),
            Some(rest) if rest.starts_with('/') => return Ok((directory, rest[1..].to_owned())),
            _ => {}
        }
    }
    Err(FileError::NoEntry)
}

async fn operate(words: &[&str]) -> Result<String, FileError> {
    match *words {
        ["write", path, text] => write(path, text.as_bytes().to_vec(), false).await,
        ["append", path, text] => write(path, text.as_bytes().to_vec(), true).await,
        ["fill", path, bytes] => write(path, vec![7; bytes.parse().unwrap_or(0)], false).await,
        ["read", path] => {
            let file = open(path, OpenFlags::empty(), DescriptorFlags::READ).await?;
            let (contents, ended) = file.read_via_stream(0);
            let contents = contents.collect().await;
            ended.await?;
            Ok(String::from_utf8_lossy(&contents).into_owned())
        }
        ["size", path] => {
            let (directory, path) = place(path)?;
            Ok(directory.stat_at(PathFlags::empty(), path).await?.size.to_string())
        }
        ["mkdir", path] => {
            let (directory, path) = place(path)?;
            directory.create_directory_at(path).await.map(done)
        }
        ["rename", from, to] => {
            let ((from_directory, from), (to_directory, to)) = (place(from)?, place(to)?);
            from_directory.rename_at(from, &to_directory, to).await.map(done)
        }
        ["remove", path] => {
            let (directory, path) = place(path)?;
            directory.unlink_file_at(path).await.map(done)
        }
        ["list", path] => {
            let directory = open(path, OpenFlags::DIRECTORY, DescriptorFlags::READ).await?;
            let (entries, ended) = directory.read_directory();
            let mut names: Vec<_> =
                entries.collect().await.into_iter().map(|entry| entry.name).collect();
            ended.await?;
            names.sort();
            Ok(names.join(" "))
        }
        _ => Err(FileError::Invalid),
    }
}

async fn open(path: &str, how: OpenFlags, flags: DescriptorFlags) -> Result<Descriptor, FileError> {
    let (directory, path) = place(path)?;
    directory.open_at(PathFlags::empty(), path, how, flags).await
}

async fn write(path: &str, bytes: Vec<u8>, appends: bool) -> Result<String, FileError> {
    let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
    let file = open(path, OpenFlags::CREATE, flags).await?;
    let (mut into_file, contents) = wit_stream::new();
    let ended =
        if appends { file.append_via_stream(contents) } else { file.write_via_stream(contents, 0) };
    // What did not fit comes back; the future says why.
    into_file.write_all(bytes).await;
    drop(into_file);
    ended.await.map(done)
}

fn done(_: ()) -> String {
    "done".to_owned()
}

/// A response with this text. It is written after the handler returned, while the host reads it.
fn text(body: String) -> Response {
    let (mut body_in, body_out) = wit_stream::new();
    let (trailers_in, trailers_out) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(Fields::new(), Some(body_out), trailers_out);
    wit_bindgen::spawn_local(async move {
        body_in.write_all(body.into_bytes()).await;
        drop(trailers_in);
    });
    response
}
