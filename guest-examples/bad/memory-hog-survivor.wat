;; memory-hog-survivor: kind 4 that grows its memory by 1 MiB at a time until it gets -1, and lives with that.
;; Host must answer: the pages it ended with, as a decimal u32 in 4 little-endian bytes, without a fault or with the fault memory limit if
;; the function's policy is that a denied growth ends the invocation. Never a crash; its next call must behave the same.
(module
  (memory (export "memory") 1)
  (func (export "alloc") (param $len i32) (result i32) (i32.const 1024))
  (func (export "handle") (param $ptr i32) (param $len i32) (result i64)
    (loop $more
      (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
    (i32.store (i32.const 16) (memory.size))
    (i64.const 0x0000001000000004)))
