;; trap: kind 4 that executes `unreachable` three calls deep, in functions with names.
;; Host must answer: the fault trap (unreachable) with a backtrace check_price, parse_order, handle, innermost first.
(module
  (memory (export "memory") 1)
  (func (export "alloc") (param $len i32) (result i32) (i32.const 1024))
  (func $check_price (param $len i32) (result i64)
    (unreachable))
  (func $parse_order (param $ptr i32) (param $len i32) (result i64)
    (i64.add (call $check_price (local.get $len)) (i64.const 1)))
  (func $handle (export "handle") (param $ptr i32) (param $len i32) (result i64)
    (i64.add (call $parse_order (local.get $ptr) (local.get $len)) (i64.const 1))))
