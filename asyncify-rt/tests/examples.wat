;; The guest of the documentation's examples: a text, an allocator that frees nothing, a global, a table.
(module
  (memory (export "memory") 1 2)
  (data (i32.const 16) "Hello")
  (global $next (mut i32) (i32.const 1024))
  (global (export "version") i32 (i32.const 3))
  (table (export "table") 1 funcref)
  (elem (i32.const 0) $double)
  (func (export "malloc") (param $size i32) (result i32)
    global.get $next
    (global.set $next (i32.add (global.get $next) (i32.and (i32.add (local.get $size) (i32.const 15)) (i32.const -16)))))
  (func (export "free") (param i32))
  (func $double (export "double") (param i32) (result i32)
    (i32.mul (local.get 0) (i32.const 2)))
  ;; Pointer and length of the text "Hello", packed.
  (func (export "greeting") (result i64)
    i64.const 0x0000000500000010)
  (func (export "fail")
    unreachable))
