;; The smallest guest that suspends, for measuring: no shadow stack, nothing but frames.
(module
  (import "env" "yield_now" (func $yield_now))
  (import "env" "pause" (func $pause (result i32)))

  ;; Nothing uses it but the host, for the unwound frames.
  (memory (export "memory") 1)

  ;; Yields n times and returns n.
  (func (export "spin") (param $n i32) (result i32)
    (local $i i32)
    (block $done
      (loop $again
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (call $yield_now)
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again)))
    (local.get $i))

  (func (export "nop"))

  ;; Pauses below n further frames; returns n plus what `pause` answered. A recursion, so that no frame is inlined.
  (func $frames (export "frames") (param $n i32) (result i32)
    (if (result i32) (i32.eqz (local.get $n))
      (then (call $pause))
      (else (i32.add (call $frames (i32.sub (local.get $n) (i32.const 1))) (i32.const 1)))))

  ;; n steps x = x * 1664525 + 1013904223 from x = 1: work without a suspension.
  (func (export "compute") (param $n i32) (result i32)
    (local $x i32)
    (local.set $x (i32.const 1))
    (block $done
      (loop $again
        (br_if $done (i32.eqz (local.get $n)))
        (local.set $x (i32.add (i32.mul (local.get $x) (i32.const 1664525)) (i32.const 1013904223)))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br $again)))
    (local.get $x)))
