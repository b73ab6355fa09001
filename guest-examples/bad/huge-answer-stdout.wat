;; huge-answer-stdout: WASI command that writes 7 MiB of `x` to stdout.
;; Host must answer: the fault answer too large, without holding more than the limit; whether the guest's write fails, blocks or is
;; swallowed behind the limit is the host's choice, but the invocation ends. The guest traps when a write fails.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func $main (export "_start")
    (local $left i32)
    (memory.fill (i32.const 65536) (i32.const 0x78) (i32.const 65536))
    (local.set $left (i32.const 7340032))
    (loop $next
      (i32.store (i32.const 0) (i32.const 65536))
      (i32.store (i32.const 4) (select (local.get $left) (i32.const 65536) (i32.lt_u (local.get $left) (i32.const 65536))))
      (if (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)) (then (unreachable)))
      (local.set $left (i32.sub (local.get $left) (i32.load (i32.const 8))))
      (br_if $next (local.get $left)))))
