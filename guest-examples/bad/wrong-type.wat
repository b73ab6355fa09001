;; wrong-type: a kind 4 guest by its names, but `alloc` takes two parameters.
;; Host must answer: refused at upload, naming `alloc`, the type found and the type wanted.
(module
  (memory (export "memory") 1)
  (func (export "alloc") (param i32 i32) (result i32) (i32.const 1024))
  (func (export "handle") (param $ptr i32) (param $len i32) (result i64) (i64.const 0)))
