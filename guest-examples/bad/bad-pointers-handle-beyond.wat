;; bad-pointers-handle-beyond: kind 4 that answers with 2 bytes of which only the first lies in its memory (pointer 65,535).
;; Host must answer: the fault bad ABI, row 3 of docs/core-abi.md section 8; the instance is dropped.
(module
  (memory (export "memory") 1)
  (func (export "alloc") (param $len i32) (result i32) (i32.const 1024))
  (func (export "handle") (param $ptr i32) (param $len i32) (result i64) (i64.const 0x0000ffff00000002)))
