;; bad-pointers-alloc-beyond: kind 4 whose `alloc` returns the first address behind its memory.
;; Host must answer: the fault bad ABI, row 2 of docs/core-abi.md section 8; the instance is dropped. An empty event does not call
;; `alloc` and is answered with nothing.
(module
  (memory (export "memory") 1)
  (func (export "alloc") (param $len i32) (result i32) (i32.const 65536))
  (func (export "handle") (param $ptr i32) (param $len i32) (result i64) (i64.const 0)))
