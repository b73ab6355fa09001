;; initialize-fails: kind 4 whose `initialize` returns 7 without saying why.
;; Host must answer: the fault bad ABI, row 4 of docs/core-abi.md section 8 (`initialize returned 7`); `handle` is never called.
(module
  (memory (export "memory") 1)
  (func (export "alloc") (param $len i32) (result i32) (i32.const 1024))
  (func (export "initialize") (result i32) (i32.const 7))
  (func (export "handle") (param $ptr i32) (param $len i32) (result i64) (i64.const 0)))
