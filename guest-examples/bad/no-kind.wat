;; no-kind: a valid module with a memory and one function `add`; none of the four kinds of guest.
;; Host must answer: refused at upload, with what was found (memory, add) and what would be accepted.
(module
  (memory (export "memory") 1)
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))
