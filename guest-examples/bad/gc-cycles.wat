;; gc-cycles: a kind 4 guest that drops one object after another, each of which refers to itself and holds 64 KiB.
;; Host must answer: the memory limit where such cycles are never collected, the timeout where they are; the neighbours live.
(module
  (type $bytes (array (mut i8)))
  (type $node (struct (field (mut (ref null $node))) (field (ref $bytes))))
  (memory (export "memory") 1)

  (func (export "alloc") (param i32) (result i32) (i32.const 1024))

  (func (export "handle") (param i32 i32) (result i64)
    (local $node (ref null $node))
    (loop $again
      (local.set $node
        (struct.new $node (ref.null $node) (array.new_default $bytes (i32.const 65536))))
      (struct.set $node 0 (local.get $node) (local.get $node))
      (br $again))
    (i64.const 0)))
