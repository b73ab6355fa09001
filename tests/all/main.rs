//! End to end: a real server process, real HTTP, the real command line. One binary, a module per behaviour.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test tells that it failed by panicking"
)]

mod aliases;
mod apig;
mod archives;
mod async_config;
mod audit;
mod auth;
mod auth_matrix;
mod auth_story;
mod bad_guests;
mod cli;
mod compression;
mod crowd;
mod crud;
mod custom_domains;
mod dead_letters;
mod destinations;
mod disconnect;
mod domain_tls;
mod domains;
mod edges;
mod egress;
mod first_minute;
mod following;
mod from_spin;
mod gateway_limits;
mod grpc;
mod health;
mod hostile;
mod hostile_calls;
mod hostile_values;
mod hostile_world;
mod http2_edge;
mod http_edge;
mod http_headers;
mod http_trigger;
mod idle_crowd;
mod invoke_async;
mod invoke_sync;
mod large_code;
mod layers;
mod many_functions;
mod nesting;
mod no_effect;
mod object_store;
mod replace;
mod rude_http;
mod scaling;
mod secrets;
mod shared_artifacts;
mod smuggling;
mod snapshots;
mod stateful;
mod stop;
mod streaming;
mod tags;
mod tls;
mod triggers;
mod uploads;
mod versions;
mod websocket;
mod websocket_crowd;
mod websocket_faults;
mod websocket_http2;
mod wrong_types;
