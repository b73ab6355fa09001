;; infinite-loop: kind 4 whose `handle` never returns and never calls the host.
;; Host must answer: the fault timeout (or CPU limit, whichever is lower) within 2 ms of it; the instance is dropped.
(module
  (memory (export "memory") 1)
  (func (export "alloc") (param $len i32) (result i32) (i32.const 1024))
  (func $handle (export "handle") (param $ptr i32) (param $len i32) (result i64)
    (loop $for_ever (br $for_ever))
    (unreachable)))
