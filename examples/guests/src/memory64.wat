;; A 64-bit memory: pointers, Asyncify's own struct among them, are i64.
(module
  (import "env" "wait" (func $wait (param i32) (result i32)))
  (import "env" "log" (func $log (param $line i64) (param $len i64)))

  (memory (export "memory") i64 1)
  (data (i64.const 16) "all answers are in")

  ;; Where the answers are kept, four bytes each, 4096 at most.
  (global $answers i64 (i64.const 1024))

  (func $slot (param $i i32) (result i64)
    (i64.add (global.get $answers) (i64.shl (i64.extend_i32_u (local.get $i)) (i64.const 2))))

  ;; Waits for 0 … n - 1, keeping each answer in memory; logs once; returns the sum of the answers.
  (func (export "sum") (param $n i32) (result i64)
    (local $i i32)
    (local $total i64)
    (if (i32.gt_u (local.get $n) (i32.const 4096)) (then (unreachable)))
    (block $done
      (loop $again
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (i32.store (call $slot (local.get $i)) (call $wait (local.get $i)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $again)))
    (call $log (i64.const 16) (i64.const 18))
    (block $done
      (loop $again
        (br_if $done (i32.eqz (local.get $i)))
        (local.set $i (i32.sub (local.get $i) (i32.const 1)))
        (local.set $total (i64.add (local.get $total) (i64.load32_u (call $slot (local.get $i)))))
        (br $again)))
    (local.get $total)))
