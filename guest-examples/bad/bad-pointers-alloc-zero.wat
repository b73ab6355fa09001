;; bad-pointers-alloc-zero: kind 4 whose `alloc` returns 0, which says that it has no memory left.
;; Host must answer: the fault bad ABI, row 1 of docs/core-abi.md section 8; the instance is dropped. An empty event does not call
;; `alloc` and is answered with nothing.
(module
  (memory (export "memory") 1)
  (func (export "alloc") (param $len i32) (result i32) (i32.const 0))
  (func (export "handle") (param $ptr i32) (param $len i32) (result i64) (i64.const 0)))
