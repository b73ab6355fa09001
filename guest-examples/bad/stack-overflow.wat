;; stack-overflow: kind 4 that calls itself without end; each frame keeps a value across the call so that no compiler makes it a loop.
;; Host must answer: the fault stack overflow with a bounded backtrace that names `descend`; the process lives, the instance is dropped.
(module
  (memory (export "memory") 1)
  (func (export "alloc") (param $len i32) (result i32) (i32.const 1024))
  (func $descend (param $depth i64) (result i64)
    (i64.add
      (call $descend (i64.add (local.get $depth) (i64.const 1)))
      (i64.load (i32.wrap_i64 (i64.and (local.get $depth) (i64.const 1023))))))
  (func $handle (export "handle") (param $ptr i32) (param $len i32) (result i64)
    (call $descend (i64.const 0))))
