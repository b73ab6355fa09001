//! random-huge-component: a WASI command component that asks `get-random-bytes` for 2^64 - 1 bytes, or for as many as the event says in
//! decimal digits.
//! Host must answer: a fault at once, without allocating what was asked for; with a small number, the count of bytes it got.

fn main() {
    let event = std::io::read_to_string(std::io::stdin()).unwrap_or_default();
    let wanted = event.trim().parse().unwrap_or(u64::MAX);
    println!("{}", wasip2::random::random::get_random_bytes(wanted).len());
}
