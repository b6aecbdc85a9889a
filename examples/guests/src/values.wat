;; Every kind of value, live across a suspension: parameters, locals, results of several values, operands on the stack,
;; loop counters, calls through a table, deep recursion; and memory that grows meanwhile.
(module
  (import "env" "wait" (func $wait (param i32) (result i32)))
  (import "env" "wait_i64" (func $wait_i64 (param i64) (result i64)))
  (import "env" "wait_f32" (func $wait_f32 (param f32) (result f32)))
  (import "env" "wait_f64" (func $wait_f64 (param f64) (result f64)))
  (import "env" "wait_v128" (func $wait_v128 (param v128) (result v128)))
  (import "env" "wait_pair" (func $wait_pair (param i32 i64) (result i64 f64)))

  (memory (export "memory") 1)

  ;; --- One import of each type: what the host answers is returned as it is.

  (func (export "echo_i32") (param i32) (result i32) (call $wait (local.get 0)))
  (func (export "echo_i64") (param i64) (result i64) (call $wait_i64 (local.get 0)))
  (func (export "echo_f32") (param f32) (result f32) (call $wait_f32 (local.get 0)))
  (func (export "echo_f64") (param f64) (result f64) (call $wait_f64 (local.get 0)))
  (func (export "echo_v128") (param v128) (result v128) (call $wait_v128 (local.get 0)))
  (func (export "echo_pair") (param i32 i64) (result i64 f64) (call $wait_pair (local.get 0) (local.get 1)))

  ;; --- Live values.

  ;; Parameters of every type outlive a wait: a + b + c + d + wait(a).
  (func (export "params") (param $a i32) (param $b i64) (param $c f32) (param $d f64) (result f64)
    (local $answer i32)
    (local.set $answer (call $wait (local.get $a)))
    (f64.add
      (f64.add (f64.convert_i32_s (local.get $a)) (f64.convert_i64_s (local.get $b)))
      (f64.add
        (f64.add (f64.promote_f32 (local.get $c)) (local.get $d))
        (f64.convert_i32_s (local.get $answer)))))

  ;; A vector outlives a wait: each lane of (x, x + 1, x + 2, x + 3) plus wait(x), as a vector.
  (func (export "vector") (param $x i32) (result v128)
    (local $lanes v128)
    (local.set $lanes (i32x4.add (i32x4.splat (local.get $x)) (v128.const i32x4 0 1 2 3)))
    (i32x4.add (i32x4.splat (call $wait (local.get $x))) (local.get $lanes)))

  ;; Several results outlive a second wait: with (p, q) = wait_pair(a, b) and w = wait(a), (p + b, q + w, w).
  (func (export "several") (param $a i32) (param $b i64) (result i64 f64 i32)
    (local $p i64) (local $q f64) (local $w i32)
    (call $wait_pair (local.get $a) (local.get $b))
    (local.set $q)
    (local.set $p)
    (local.set $w (call $wait (local.get $a)))
    (i64.add (local.get $p) (local.get $b))
    (f64.add (local.get $q) (f64.convert_i32_s (local.get $w)))
    (local.get $w))

  ;; Operands wait on the stack for each other: wait(x) - (wait(x + 1) - wait(x + 2)).
  (func (export "operands") (param $x i32) (result i32)
    (i32.sub
      (call $wait (local.get $x))
      (i32.sub
        (call $wait (i32.add (local.get $x) (i32.const 1)))
        (call $wait (i32.add (local.get $x) (i32.const 2))))))

  ;; t = seed, then t = t * 31 + wait(i) for i below n.
  (func (export "loop") (param $seed i32) (param $n i32) (result i32)
    (local $i i32)
    (block $done
      (loop $again
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (local.set $seed (i32.add (i32.mul (local.get $seed) (i32.const 31)) (call $wait (local.get $i))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again)))
    (local.get $seed))

  ;; --- Calls through a table.

  (type $unary (func (param i32) (result i32)))
  (table $functions funcref (elem $doubled $square $twice_asked $wait))

  (func $doubled (param $x i32) (result i32)
    (i32.mul (call $wait (local.get $x)) (i32.const 2)))
  (func $square (param $x i32) (result i32)
    (i32.mul (local.get $x) (local.get $x)))
  (func $twice_asked (param $x i32) (result i32)
    (i32.add (call $wait (local.get $x)) (call $wait (i32.add (local.get $x) (i32.const 1)))))

  ;; which = 0: 2 wait(x); 1: x * x, without a wait; 2: wait(x) + wait(x + 1); 3: wait(x), the import itself in the
  ;; table. And x added to it, which has to outlive the call.
  (func (export "indirect") (param $which i32) (param $x i32) (result i32)
    (i32.add (call_indirect $functions (type $unary) (local.get $x) (local.get $which)) (local.get $x)))

  ;; --- Memory that grows.

  (func (export "pages") (result i32) (memory.size))

  ;; The size before, or -1.
  (func $grow (export "grow") (param $pages i32) (result i32) (memory.grow (local.get $pages)))

  ;; Grows by so many pages, stores wait(1) in the last word, grows again, and loads it after wait(2):
  ;; wait(1) + wait(2), or -1 if the memory didn't grow.
  (func (export "grow_around") (param $pages i32) (result i32)
    (local $last i32)
    (local $answer i32)
    (if (i32.eq (call $grow (local.get $pages)) (i32.const -1)) (then (return (i32.const -1))))
    (local.set $last (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 4)))
    (i32.store (local.get $last) (call $wait (i32.const 1)))
    (if (i32.eq (call $grow (local.get $pages)) (i32.const -1)) (then (return (i32.const -1))))
    (local.set $answer (call $wait (i32.const 2)))
    (i32.add (i32.load (local.get $last)) (local.get $answer)))

  ;; --- Depth.

  ;; deep(0) = wait(0); deep(n) = deep(n - 1) + n * n + n / 2 (an exact half) + (n ^ 85), as f64. Each frame keeps an
  ;; i64, an f64 and an i32.
  (func $deep (export "deep") (param $n i32) (result f64)
    (local $square i64)
    (local $half f64)
    (local $mask i32)
    (if (i32.eqz (local.get $n)) (then (return (f64.convert_i32_s (call $wait (i32.const 0))))))
    (local.set $square (i64.mul (i64.extend_i32_u (local.get $n)) (i64.extend_i32_u (local.get $n))))
    (local.set $half (f64.div (f64.convert_i32_u (local.get $n)) (f64.const 2)))
    (local.set $mask (i32.xor (local.get $n) (i32.const 85)))
    (f64.add
      (call $deep (i32.sub (local.get $n) (i32.const 1)))
      (f64.add
        (f64.add (f64.convert_i64_u (local.get $square)) (local.get $half))
        (f64.convert_i32_u (local.get $mask))))))
