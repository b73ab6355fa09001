;; sleeper: WASI command that sleeps 60 s inside one host call (`poll_oneoff` on the monotonic clock), then answers `awake`.
;; Host must answer: the fault timeout within 2 ms of the deadline, though the guest is in the host and no epoch can interrupt it.
;; CPU time stays near 0. `sleeper-component` is this module with the WASI 0.2 command adapter.
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  ;; subscription at 0: userdata u64, tag u8 (0 clock) at 8, clock id u32 at 16 (1 monotonic), timeout u64 at 24 (ns),
  ;; precision u64 at 32, flags u16 at 40 (0 relative). The event goes to 64, the count to 128.
  (data (i32.const 16) "\01")
  (data (i32.const 136) "awake\n")
  (func $main (export "_start")
    (i64.store (i32.const 24) (i64.const 60000000000))
    (if (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)) (then (unreachable)))
    (i32.store (i32.const 144) (i32.const 136))
    (i32.store (i32.const 148) (i32.const 6))
    (drop (call $write (i32.const 1) (i32.const 144) (i32.const 1) (i32.const 152)))))
