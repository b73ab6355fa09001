;; bad-pointers-handle-length-negative: kind 4 that answers with pointer 16 and length -16, whose 32-bit sum is 0.
;; Host must answer: the fault bad ABI, row 3 of docs/core-abi.md section 8; the instance is dropped.
(module
  (memory (export "memory") 1)
  (func (export "alloc") (param $len i32) (result i32) (i32.const 1024))
  (func (export "handle") (param $ptr i32) (param $len i32) (result i64) (i64.const 0x00000010fffffff0)))
