// Upper-cases a text event: the exports of docs/core-abi.md in AssemblyScript. Text is UTF-8 outside and UTF-16 inside.

/** Writes one log entry through the host; level 2 is info. */
@external("hearth", "log")
declare function log(level: i32, text: usize, length: i32): void;

/** Keeps the answer reachable, and so alive, until the next event. */
let answer: ArrayBuffer | null = null;

/** Gives the host a place for an event; `free` takes it back. */
export function alloc(length: i32): usize {
  return heap.alloc(<usize>length);
}

/** Called by the host with what `alloc` gave it, after the answer was read. */
export function free(event: usize, length: i32): void {
  heap.free(event);
}

/** Serves one event; the answer's pointer is in the high half of the result, its length in the low half. */
export function handle(event: usize, length: i32): u64 {
  // The host has copied the last answer by now. Collecting between events is what keeps a warm instance from growing; the minimal
  // runtime does it only when asked, which costs nothing inside of an event.
  answer = null;
  __collect();

  const text = length ? String.UTF8.decodeUnsafe(event, <usize>length) : "";
  const line = String.UTF8.encode("upper-casing " + text.length.toString() + " code units");
  log(2, changetype<usize>(line), line.byteLength);
  const upper = String.UTF8.encode(text.toUpperCase());
  answer = upper;
  return ((<u64>changetype<usize>(upper)) << 32) | <u64>upper.byteLength;
}
