;; table-grow: kind 4 that asks for a table of 2^32 - 1 elements, then grows it by 65,536 elements at a time until the host says no; then traps.
;; Host must answer: the fault memory limit (tables count with the memories) or table limit, with the figure; the instance is dropped.
(module
  (memory (export "memory") 1)
  (table $t 1 funcref)
  (func (export "alloc") (param $len i32) (result i32) (i32.const 1024))
  (func $handle (export "handle") (param $ptr i32) (param $len i32) (result i64)
    (drop (table.grow $t (ref.null func) (i32.const -2)))
    (loop $more
      (br_if $more (i32.ne (table.grow $t (ref.null func) (i32.const 65536)) (i32.const -1))))
    (unreachable)))
