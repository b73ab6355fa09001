//! The messages of `greeter.proto`, written by hand so that building needs no `protoc`.

#[derive(Clone, PartialEq, prost::Message)]
pub struct HelloRequest {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(uint32, tag = "2")]
    pub times: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct HelloReply {
    #[prost(string, tag = "1")]
    pub message: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct CountRequest {
    #[prost(uint64, tag = "1")]
    pub to: u64,
    #[prost(uint64, tag = "2")]
    pub pause_ms: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Number {
    #[prost(uint64, tag = "1")]
    pub value: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Total {
    #[prost(uint64, tag = "1")]
    pub sum: u64,
    #[prost(uint64, tag = "2")]
    pub count: u64,
}
