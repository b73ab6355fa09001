//! An HTTP function on `wasi:http` 0.3 that breaks a rule for each path; the README of this folder says which and what must come of it.
//! `/` answers `well` and tells that the instance is as it should be.

use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::{wit_bindgen, wit_future, wit_stream};
use wit_bindgen::StreamWriter;

/// What is written at once.
const PIECE: usize = 64 << 10;

struct Http;

wasip3::http::service::export!(Http);

impl wasip3::exports::http::handler::Guest for Http {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let path = request.get_path_with_query().unwrap_or_default();
        Ok(match path.split('?').next().unwrap_or_default() {
            "/" => whole(&[], b"well"),
            "/none" => std::future::pending().await,
            "/stall-before" => {
                wait_for(u64::MAX).await;
                whole(&[], b"after an age")
            }
            "/error" => return Err(ErrorCode::InternalError(Some("by intent".into()))),
            "/trap-before" => core::arch::wasm32::unreachable(),
            "/trap" => begun(&[], async |to| {
                to.write_all(b"begun".to_vec()).await;
                core::arch::wasm32::unreachable();
            }),
            "/forever" => {
                begun(&[], async |to| while to.write_all(vec![b'x'; PIECE]).await.is_empty() {})
            }
            "/stall" => begun(&[], async |to| {
                to.write_all(b"begun".to_vec()).await;
                wait_for(u64::MAX).await;
            }),
            "/spin" => begun(&[], async |to| {
                to.write_all(b"begun".to_vec()).await;
                spin();
            }),
            "/unfinished" => unfinished(),
            "/kept-body" => kept(),
            "/long" => whole(&[("content-length", b"5")], b"more than five"),
            "/short" => whole(&[("content-length", b"100")], b"less"),
            "/trap-after" => {
                wit_bindgen::spawn_local(async {
                    wait_for(50_000_000).await;
                    core::arch::wasm32::unreachable();
                });
                whole(&[], b"whole")
            }
            "/spin-after" => {
                wit_bindgen::spawn_local(async {
                    wait_for(50_000_000).await;
                    spin();
                });
                whole(&[], b"whole")
            }
            _ => whole(&[], b"no such path"),
        })
    }
}

fn spin() -> ! {
    loop {
        std::hint::spin_loop();
    }
}

/// A response whose body is written by a task of its own.
fn begun(
    headers: &[(&str, &[u8])],
    write: impl AsyncFnOnce(&mut StreamWriter<u8>) + 'static,
) -> Response {
    let (mut to, body) = wit_stream::new();
    let (_, trailers) = wit_future::new(|| Ok(None));
    let fields = Fields::new();
    for (name, value) in headers {
        fields.append(name, value).expect("a valid header");
    }
    let (response, _sent) = Response::new(fields, Some(body), trailers);
    wit_bindgen::spawn_local(async move { write(&mut to).await });
    response
}

fn whole(headers: &[(&str, &[u8])], bytes: &'static [u8]) -> Response {
    begun(headers, async |to| {
        to.write_all(bytes.to_vec()).await;
    })
}

/// A body that breaks off: what follows it is an error.
fn unfinished() -> Response {
    let (mut to, body) = wit_stream::new();
    let (behind, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(Fields::new(), Some(body), trailers);
    wit_bindgen::spawn_local(async move {
        to.write_all(b"begun".to_vec()).await;
        drop(to);
        let error = ErrorCode::InternalError(Some("by intent".into()));
        let _ = behind.write(Err(error)).await;
    });
    response
}

/// A body that nobody writes on and nobody ends.
fn kept() -> Response {
    let (mut to, body) = wit_stream::new();
    let (behind, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(Fields::new(), Some(body), trailers);
    wit_bindgen::spawn_local(async move {
        to.write_all(b"begun".to_vec()).await;
        std::mem::forget((to, behind));
    });
    response
}
