//! A gRPC service on `wasi:http` 0.2: `greeter.proto`, with a method of each kind. Nothing of gRPC is the host's: it passes requests,
//! responses and trailers on as they are, over HTTP/2.

mod call;
mod messages;

use call::{Call, Status, serve};
use messages::{CountRequest, HelloReply, HelloRequest, Number, Total};
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

struct Grpc;

wasip2::http::proxy::export!(Grpc);

impl wasip2::exports::http::incoming_handler::Guest for Grpc {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let method = match path.rsplit_once("/hearth.example.Greeter/") {
            Some((_, "SayHello")) => say_hello,
            Some((_, "CountTo")) => count_to,
            Some((_, "Sum")) => sum,
            Some((_, "Chat")) => chat,
            _ => |_: &mut Call| Err(Status::new(Status::UNIMPLEMENTED, "there is no such method")),
        };
        serve(request, out, method);
    }
}

fn say_hello(call: &mut Call) -> Result<(), Status> {
    let request = call.receive_one()?;
    let greeting = greeting(&request)?;
    call.send(&greeting)
}

fn count_to(call: &mut Call) -> Result<(), Status> {
    let CountRequest { to, pause_ms } = call.receive_one()?;
    for value in 1..=to {
        if value > 1 && pause_ms > 0 {
            call.pause(pause_ms)?;
        }
        call.send(&Number { value })?;
    }
    Ok(())
}

fn sum(call: &mut Call) -> Result<(), Status> {
    let mut total = Total::default();
    while let Some(Number { value }) = call.receive()? {
        total.sum = total.sum.wrapping_add(value);
        total.count += 1;
    }
    call.send(&total)
}

fn chat(call: &mut Call) -> Result<(), Status> {
    while let Some(request) = call.receive()? {
        let greeting = greeting(&request)?;
        call.send(&greeting)?;
    }
    Ok(())
}

fn greeting(HelloRequest { name, times }: &HelloRequest) -> Result<HelloReply, Status> {
    if name.is_empty() {
        return Err(Status::new(Status::INVALID_ARGUMENT, "a name is missing – 100% of it"));
    }
    let greeting = format!("Hello, {name}!");
    Ok(HelloReply { message: greeting.repeat((*times).max(1) as usize) })
}
