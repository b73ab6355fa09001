;; fail: kind 4 that reports an error of its own through `hearth.fail`, as an error document or, for an empty event, as plain text.
;; Host must answer: the fault returned error, kind OutOfStock, message `no more kettles`, stack of one line; for an empty event kind
;; FunctionError, message `no more kettles`. The instance stays: the next call is warm.
(module
  (import "hearth" "fail" (func $fail (param i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "no more kettles")
  (data (i32.const 64) "{\"errorType\":\"OutOfStock\",\"errorMessage\":\"no more kettles\",\"stackTrace\":[\"shelf 3\"]}")
  (func (export "alloc") (param $len i32) (result i32) (i32.const 1024))
  (func (export "handle") (param $ptr i32) (param $len i32) (result i64)
    (if (local.get $len)
      (then (call $fail (i32.const 64) (i32.const 84)))
      (else (call $fail (i32.const 16) (i32.const 15))))
    (i64.const 0)))
