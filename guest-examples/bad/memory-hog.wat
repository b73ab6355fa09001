;; memory-hog: kind 4 that grows its memory by 1 MiB at a time, touches every new page, and traps when the host says no.
;; Host must answer: the fault memory limit with the limit in it (the trap that follows a denied growth is the limit's); the
;; instance is dropped, and the process never holds more than the limit for it.
(module
  (memory (export "memory") 1)
  (func (export "alloc") (param $len i32) (result i32) (i32.const 1024))
  (func $grow_and_touch (result i32)
    (local $at i32) (local $end i32)
    (local.set $at (memory.grow (i32.const 16)))
    (if (i32.eq (local.get $at) (i32.const -1)) (then (return (i32.const 0))))
    (local.set $at (i32.shl (local.get $at) (i32.const 16)))
    (local.set $end (i32.add (local.get $at) (i32.const 1048576)))
    (loop $page
      (i32.store (local.get $at) (i32.const 0x5ec2e7))
      (local.set $at (i32.add (local.get $at) (i32.const 4096)))
      (br_if $page (i32.ne (local.get $at) (local.get $end))))
    (i32.const 1))
  (func $handle (export "handle") (param $ptr i32) (param $len i32) (result i64)
    (loop $more (br_if $more (call $grow_and_touch)))
    (unreachable)))
