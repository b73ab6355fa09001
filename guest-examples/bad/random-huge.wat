;; random-huge: WASI command that asks `random_get` for 1 GiB into a memory of 64 KiB, then for 4 GiB - 1 at address -1, and, if it is
;; still alive, for 64 KiB in bounds; then answers `alive`.
;; Host must answer: a trap or `alive`, at once either way; it never allocates what was asked for.
(module
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "\10\00\00\00\06\00\00\00")
  (data (i32.const 16) "alive\n")
  (func $main (export "_start")
    (drop (call $random (i32.const 0) (i32.const 0x40000000)))
    (drop (call $random (i32.const -1) (i32.const -1)))
    (if (call $random (i32.const 65536) (i32.const 65536)) (then (unreachable)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
