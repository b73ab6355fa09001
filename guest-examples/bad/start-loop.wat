;; start-loop: kind 4 whose start function never returns, so that the loop runs inside instantiation.
;; Host must answer: the fault timeout, by the deadline for initialisation; compiling and prewarming must not hang either.
(module
  (memory (export "memory") 1)
  (func (export "alloc") (param $len i32) (result i32) (i32.const 1024))
  (func $begin (loop $for_ever (br $for_ever)))
  (start $begin)
  (func (export "handle") (param $ptr i32) (param $len i32) (result i64) (i64.const 0)))
