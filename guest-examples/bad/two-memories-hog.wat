;; two-memories-hog: kind 4 with two memories that grow in turn, so that each alone stays below a limit that both together pass.
;; Host must answer: the fault memory limit, counted over both memories.
(module
  (memory (export "memory") 1)
  (memory $second 1)
  (func (export "alloc") (param $len i32) (result i32) (i32.const 1024))
  (func $handle (export "handle") (param $ptr i32) (param $len i32) (result i64)
    (loop $more
      (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then (unreachable)))
      (if (i32.eq (memory.grow $second (i32.const 16)) (i32.const -1)) (then (unreachable)))
      (br $more))
    (unreachable)))
