;; log-flood-stderr: WASI command that writes 1 GiB to stderr: 100 MiB without one newline and of bytes that are never UTF-8 (0xff), then
;; 860 MiB in lines of 64 KiB, then 64 MiB in lines of 16 bytes by calls of 4 KiB; then answers `done` on stdout.
;; Host must answer: `done` if the deadline allows, else timeout. The tail is the last 4 KiB in valid UTF-8, the host's memory stays
;; bounded, and a write never blocks the guest for long. The guest traps when a write fails.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 3)
  (data (i32.const 16) "done")
  (data (i32.const 32) "a line of 16 by\n")

  ;; Writes $total bytes to $fd by repeating the $size bytes at $from; a short write goes on where it stopped.
  (func $flood (param $fd i32) (param $from i32) (param $size i32) (param $total i32)
    (local $at i32)
    (loop $next
      (i32.store (i32.const 0) (i32.add (local.get $from) (local.get $at)))
      (i32.store (i32.const 4) (i32.sub (local.get $size) (local.get $at)))
      (if (call $write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)) (then (unreachable)))
      (local.set $total (i32.sub (local.get $total) (i32.load (i32.const 8))))
      (local.set $at (i32.add (local.get $at) (i32.load (i32.const 8))))
      (if (i32.eq (local.get $at) (local.get $size)) (then (local.set $at (i32.const 0))))
      (br_if $next (i32.gt_s (local.get $total) (i32.const 0)))))

  (func $main (export "_start")
    (local $at i32)
    (memory.fill (i32.const 65536) (i32.const 0xff) (i32.const 65536))
    (memory.fill (i32.const 131072) (i32.const 0x78) (i32.const 65535))
    (i32.store8 (i32.const 196607) (i32.const 10))
    (local.set $at (i32.const 4096))
    (loop $copy
      (memory.copy (local.get $at) (i32.const 32) (i32.const 16))
      (local.set $at (i32.add (local.get $at) (i32.const 16)))
      (br_if $copy (i32.ne (local.get $at) (i32.const 8192))))
    (call $flood (i32.const 2) (i32.const 65536) (i32.const 65536) (i32.const 104857600))
    (call $flood (i32.const 2) (i32.const 131072) (i32.const 65536) (i32.const 901775360))
    (call $flood (i32.const 2) (i32.const 4096) (i32.const 4096) (i32.const 67108864))
    (call $flood (i32.const 1) (i32.const 16) (i32.const 4) (i32.const 4))))
