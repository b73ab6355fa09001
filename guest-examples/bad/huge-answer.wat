;; huge-answer: kind 4 that answers 7 MiB of `x`, all of it inside its memory.
;; Host must answer: the fault answer too large with both figures (7,340,032 and the limit, 6,291,456 by default); the instance stays.
(module
  (memory (export "memory") 113)
  (func (export "alloc") (param $len i32) (result i32) (i32.const 1024))
  (func $handle (export "handle") (param $ptr i32) (param $len i32) (result i64)
    (memory.fill (i32.const 65536) (i32.const 0x78) (i32.const 7340032))
    (i64.const 0x0001000000700000)))
