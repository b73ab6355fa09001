;; wat-echo: the smallest useful guest of kind 4. Answers with the event, byte for byte, from the buffer it came in.
;; Host must answer: the event itself, for every size up to the payload limit; warm calls leave the instance as it was.
(module
  (memory (export "memory") 1)

  ;; One buffer at address 16, reused by every call; memory grows when an event needs more and never shrinks.
  (func (export "alloc") (param $len i32) (result i32)
    (local $missing i32)
    ;; pages needed, rounded up, in 64 bits so that a length near 4 GiB does not wrap; minus the pages there are
    (local.set $missing
      (i32.sub
        (i32.wrap_i64 (i64.shr_u (i64.add (i64.extend_i32_u (local.get $len)) (i64.const 65551)) (i64.const 16)))
        (memory.size)))
    (if (i32.gt_s (local.get $missing) (i32.const 0))
      (then
        (if (i32.eq (memory.grow (local.get $missing)) (i32.const -1))
          (then (return (i32.const 0))))))
    (i32.const 16))

  (func (export "handle") (param $ptr i32) (param $len i32) (result i64)
    (i64.or
      (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32))
      (i64.extend_i32_u (local.get $len)))))
