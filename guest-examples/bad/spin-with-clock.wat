;; spin-with-clock: WASI command that reads the monotonic clock in a loop that never ends: a spinning guest that is in the host
;; about half of the time.
;; Host must answer: the fault timeout (or CPU limit) within 2 ms of it; the time in the cheap host call counts as the guest's CPU time.
(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $now (param i32 i64 i32) (result i32)))
  (memory (export "memory") 1)
  (func $main (export "_start")
    (loop $for_ever
      (drop (call $now (i32.const 1) (i64.const 1) (i32.const 0)))
      (br $for_ever))))
