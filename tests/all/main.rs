//! End to end: a real server process, real HTTP, the real command line. One binary, a module per behaviour.

mod archives;
mod bad_guests;
mod cli;
mod crowd;
mod crud;
mod disconnect;
mod following;
mod health;
mod http_edge;
mod invoke_async;
mod invoke_sync;
mod replace;
mod secrets;
mod stop;
mod uploads;
