;; memory64-abi: everything a kind 4 guest needs, but `memory` has 64-bit indices, which the ABI's pointers cannot address.
;; Host must answer: refused at upload, naming the export `memory` and what is wanted.
(module
  (memory (export "memory") i64 1)
  (func (export "alloc") (param $len i32) (result i32) (i32.const 1024))
  (func (export "handle") (param $ptr i32) (param $len i32) (result i64) (i64.const 0)))
