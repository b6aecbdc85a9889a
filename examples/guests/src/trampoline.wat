;; Host frames between guest frames: trampolines, as Emscripten's `invoke_*` are, and imports that call the guest again.
;; A frame on the shadow stack lies between any two of them.
(module
  ;; Answers tag * 3 + 1.
  (import "env" "wait" (func $wait (param i32) (result i32)))
  ;; Call the table's entry with the second argument. `try_ii` answers -1 if that fails.
  (import "env" "invoke_ii" (func $invoke (param i32 i32) (result i32)))
  (import "env" "try_ii" (func $try (param i32 i32) (result i32)))
  ;; Calls `ask` of this guest, and waits for it.
  (import "env" "again" (func $again (param i32) (result i32)))
  ;; Calls the table's entry, and cannot be unwound.
  (import "env" "call_ii" (func $call (param i32 i32) (result i32)))

  (memory (export "memory") 2)
  (global $__stack_pointer (export "__stack_pointer") (mut i32) (i32.const 65536))
  (type $unary (func (param i32) (result i32)))
  (table (export "table") funcref
    (elem $ask $nested $double $fail $outside $alternate $waits_twice))

  ;; Entry 0: wait(x) + x.
  (func $ask (export "ask") (param $x i32) (result i32)
    (i32.add (call $wait (local.get $x)) (local.get $x)))

  ;; Entry 1: n trampolines deep, then wait(5); and 1 + 2 + … + n added to it.
  (func $nested (export "nested") (param $n i32) (result i32)
    (local $frame i32)
    (local $answer i32)
    (local.set $frame (i32.sub (global.get $__stack_pointer) (i32.const 16)))
    (global.set $__stack_pointer (local.get $frame))
    (i32.store (local.get $frame) (local.get $n))
    (local.set $answer
      (if (result i32) (i32.eqz (local.get $n))
        (then (call $wait (i32.const 5)))
        (else (call $invoke (i32.const 1) (i32.sub (local.get $n) (i32.const 1))))))
    (local.set $answer (i32.add (local.get $answer) (i32.load (local.get $frame))))
    (global.set $__stack_pointer (i32.add (local.get $frame) (i32.const 16)))
    (local.get $answer))

  ;; Entry 2: twice x, without a wait.
  (func $double (export "double") (param $x i32) (result i32)
    (i32.shl (local.get $x) (i32.const 1)))

  ;; Entry 3: takes a frame, and traps.
  (func $fail (param $x i32) (result i32)
    (global.set $__stack_pointer (i32.sub (global.get $__stack_pointer) (i32.const 64)))
    (unreachable))

  ;; Entry 4: `ask`, through a host frame that cannot be unwound.
  (func $outside (export "outside") (param $x i32) (result i32)
    (i32.add (call $call (i32.const 0) (local.get $x)) (i32.const 1)))

  ;; Entry 5: twice x, through a host frame.
  (func $alternate (export "alternate") (param $x i32) (result i32)
    (call $call (i32.const 2) (local.get $x)))

  ;; Entry 6: wait(x) + wait(x + 1).
  (func $waits_twice (param $x i32) (result i32)
    (i32.add (call $wait (local.get $x)) (call $wait (i32.add (local.get $x) (i32.const 1)))))

  ;; The argument comes from a call that counts, the entry's index from memory: both are evaluated once.
  (data (i32.const 16) "\00\00\00\00")
  (func $next (result i32)
    (i32.store (i32.const 20) (i32.add (i32.load (i32.const 20)) (i32.const 1)))
    (i32.load (i32.const 20)))
  (func (export "computed") (param $x i32) (result i32)
    (i32.add (call $invoke (i32.load (i32.const 16)) (call $next)) (local.get $x)))

  ;; Two trampolines in a row, of which each waits twice.
  (func (export "in_a_row") (param $x i32) (result i32)
    (i32.sub
      (call $invoke (i32.const 6) (local.get $x))
      (call $invoke (i32.const 6) (i32.add (local.get $x) (i32.const 2)))))

  ;; Any entry, through a trampoline, or one that answers for a failure.
  (func (export "invoke") (param $entry i32) (param $x i32) (result i32)
    (call $invoke (local.get $entry) (local.get $x)))
  (func (export "try") (param $entry i32) (param $x i32) (result i32)
    (call $try (local.get $entry) (local.get $x)))

  ;; again(x) + x.
  (func (export "reenter") (param $x i32) (result i32)
    (i32.add (call $again (local.get $x)) (local.get $x))))
