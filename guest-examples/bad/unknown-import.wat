;; unknown-import: kind 4 that imports `hearth.open_sesame`, which no host provides, beside `hearth.log`, which it does.
;; Host must answer: refused at upload, naming `hearth.open_sesame`.
(module
  (import "hearth" "log" (func (param i32 i32 i32)))
  (import "hearth" "open_sesame" (func (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "alloc") (param $len i32) (result i32) (i32.const 1024))
  (func (export "handle") (param $ptr i32) (param $len i32) (result i64) (i64.const 0)))
