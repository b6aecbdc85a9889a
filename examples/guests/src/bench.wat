;; What the benches call: each function does one thing n times, so that a call of it can be divided by n.
(module
  (import "env" "plain" (func $plain (param i32) (result i32)))
  (import "env" "text" (func $text (param i32 i32 i32) (result i32)))
  (import "env" "ready" (func $ready (param i32) (result i32)))
  (import "env" "bytes" (func $bytes (param i32 i32) (result i32)))
  (import "env" "pause" (func $pause (param i32) (result i32)))

  (memory (export "memory") 33)
  (data (i32.const 64) "thirty-two bytes of text for you")

  ;; An allocator, as guests that are compiled with a libc export it. The window is all that is ever asked for.
  (func (export "malloc") (param $size i32) (result i32)
    (i32.shl
      (memory.grow (i32.shr_u (i32.add (local.get $size) (i32.const 65535)) (i32.const 16)))
      (i32.const 16)))
  (func (export "free") (param i32))

  (func (export "echo") (param $x i32) (result i32)
    (local.get $x))

  ;; Calls `plain` n times, each time with the answer to the last.
  (func (export "plain") (param $n i32) (result i32)
    (local $x i32)
    (loop $again
      (local.set $x (call $plain (local.get $x)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $x))

  ;; The same with 32 bytes of text beside the number.
  (func (export "text") (param $n i32) (result i32)
    (local $x i32)
    (loop $again
      (local.set $x (call $text (i32.const 64) (i32.const 32) (local.get $x)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $x))

  ;; The same with an import that may suspend.
  (func (export "ready") (param $n i32) (result i32)
    (local $x i32)
    (loop $again
      (local.set $x (call $ready (local.get $x)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $x))

  ;; The same with `len` bytes, from the start of the memory's second page on.
  (func (export "bytes") (param $n i32) (param $len i32) (result i32)
    (local $x i32)
    (loop $again
      (local.set $x (i32.add (local.get $x) (call $bytes (i32.const 65536) (local.get $len))))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $x))

  ;; Calls `pause` n times, below so many further frames. A recursion, so that no frame is inlined.
  (func $spin (export "spin") (param $frames i32) (param $n i32) (result i32)
    (local $x i32)
    (if (result i32) (local.get $frames)
      (then
        (i32.add
          (call $spin (i32.sub (local.get $frames) (i32.const 1)) (local.get $n))
          (i32.const 1)))
      (else
        (loop $again
          (local.set $x (call $pause (local.get $x)))
          (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (local.get $x))))

  ;; Fibonacci's numbers the slow way: calls and nothing else. The import is never called, but it is there to be: a
  ;; pass over the whole module instruments the function for it.
  (func $compute (export "compute") (param $n i32) (result i32)
    (if (i32.lt_s (local.get $n) (i32.const 0))
      (then (return (call $plain (local.get $n)))))
    (if (result i32) (i32.lt_u (local.get $n) (i32.const 2))
      (then (local.get $n))
      (else
        (i32.add
          (call $compute (i32.sub (local.get $n) (i32.const 1)))
          (call $compute (i32.sub (local.get $n) (i32.const 2))))))))
