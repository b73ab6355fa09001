;; grow-memory64: kind 4 with a second memory of 64-bit index type, grown by sizes that overflow careless arithmetic, then by 1 MiB
;; steps until the host says no; then traps.
;; Host must answer: refused at upload where 64-bit memories are off; else the fault memory limit.
(module
  (memory (export "memory") 1)
  (memory $wide i64 1)
  (func (export "alloc") (param $len i32) (result i32) (i32.const 1024))
  (func $handle (export "handle") (param $ptr i32) (param $len i32) (result i64)
    ;; each of these must be denied: 2^64 - 1 pages, 2^48 pages (2^64 bytes: 0 if the product wraps), 2^47 pages, 2^32 pages
    (if (i64.ne (memory.grow $wide (i64.const -1)) (i64.const -1)) (then (return (i64.const 0))))
    (if (i64.ne (memory.grow $wide (i64.const 0x1000000000000)) (i64.const -1)) (then (return (i64.const 0))))
    (if (i64.ne (memory.grow $wide (i64.const 0x800000000000)) (i64.const -1)) (then (return (i64.const 0))))
    (if (i64.ne (memory.grow $wide (i64.const 0x100000000)) (i64.const -1)) (then (return (i64.const 0))))
    (loop $more
      (br_if $more (i64.ne (memory.grow $wide (i64.const 16)) (i64.const -1))))
    (unreachable)))
