;; log-flood: kind 4 that writes 1 GiB through `hearth.log` in one call: 960 entries of 1 MiB, each followed by 1,092 lines of 64 bytes
;; (about 64 MiB together), then answers `done`.
;; Host must answer: `done` if the deadline allows, else timeout. The tail is the last 4 KiB, the sink counts what it dropped, and the
;; host's memory stays bounded; log lines of other functions are untouched.
(module
  (import "hearth" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 17)
  (data (i32.const 0) "done")
  (data (i32.const 64) "0123456789abcdef a small line of sixty-four bytes is this here.\n")
  (func (export "alloc") (param $len i32) (result i32) (i32.const 1024))
  (func $handle (export "handle") (param $ptr i32) (param $len i32) (result i64)
    (local $big i32) (local $small i32)
    (memory.fill (i32.const 65536) (i32.const 0x78) (i32.const 1048576))
    (local.set $big (i32.const 960))
    (loop $next_big
      (call $log (i32.const 1) (i32.const 65536) (i32.const 1048576))
      (local.set $small (i32.const 1092))
      (loop $next_small
        (call $log (i32.const 2) (i32.const 64) (i32.const 64))
        (local.set $small (i32.sub (local.get $small) (i32.const 1)))
        (br_if $next_small (local.get $small)))
      (local.set $big (i32.sub (local.get $big) (i32.const 1)))
      (br_if $next_big (local.get $big)))
    (i64.const 4)))
