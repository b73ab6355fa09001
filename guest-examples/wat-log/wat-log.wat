;; wat-log: wat-echo that writes one line of 32 bytes at level info before it answers.
;; Host must answer: the event itself; the tail log has exactly one line per call, `served one event through hearth.`.
(module
  (import "hearth" "log" (func $log (param $level i32) (param $ptr i32) (param $len i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "served one event through hearth.")

  ;; One buffer at address 64, reused by every call, as in wat-echo.
  (func (export "alloc") (param $len i32) (result i32)
    (local $missing i32)
    (local.set $missing
      (i32.sub
        (i32.wrap_i64 (i64.shr_u (i64.add (i64.extend_i32_u (local.get $len)) (i64.const 65599)) (i64.const 16)))
        (memory.size)))
    (if (i32.gt_s (local.get $missing) (i32.const 0))
      (then
        (if (i32.eq (memory.grow (local.get $missing)) (i32.const -1))
          (then (return (i32.const 0))))))
    (i32.const 64))

  (func (export "handle") (param $ptr i32) (param $len i32) (result i64)
    (call $log (i32.const 2) (i32.const 16) (i32.const 32))
    (i64.or
      (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32))
      (i64.extend_i32_u (local.get $len)))))
