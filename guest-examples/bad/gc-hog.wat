;; gc-hog: a kind 4 guest that keeps all it allocates on the garbage-collected heap, in 64 KiB arrays, for ever.
;; Host must answer: the memory limit, which that heap counts against like linear memory, and drop the instance.
(module
  (type $bytes (array (mut i8)))
  (type $node (struct (field (ref null $node)) (field (ref $bytes))))
  (memory (export "memory") 1)
  (global $newest (mut (ref null $node)) (ref.null $node))

  (func (export "alloc") (param i32) (result i32) (i32.const 1024))

  (func (export "handle") (param i32 i32) (result i64)
    (loop $again
      (global.set $newest
        (struct.new $node (global.get $newest) (array.new_default $bytes (i32.const 65536))))
      (br $again))
    (i64.const 0)))
