// Writes random guests, instrumented by Binaryen, into built/: the same ones each time.
//
//   npm ci --prefix fuzz/guests && node fuzz/guests/generate.mjs [COUNT [FIRST]]
//
// A guest exports programs `p0`, `p1`, … of the type (slot, a, b: i64) -> (i32 | i64 | f64). What a program answers,
// notes and leaves in memory depends on its arguments and on the imports' answers alone:
//
// - each call is given a slot of its own, 256 bytes of memory that no other call touches;
// - what is shared, the globals `sum` and `sum64`, is only ever added to;
// - nothing computes with the address of an object on the shadow stack.
//
// So it can be compared with the same call in a guest of its own, where every import answers at once. Imports are
// `wait`, `wait64` and `wait_f`, which may suspend, and `note`, which does not: it tells whether anything ran twice.
// `plain(slot, a)` suspends nowhere, and sums an object of its own. There is no recursion without an end and no loop of more than three rounds, so every program ends.

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PROGRAMS = 8;
const LEVELS = 4;
const FUNCTIONS_OF_A_LEVEL = 6;
/** The stack is below this address; data, slots and the heap are above. */
const STACK = 65536;
const SLOTS = STACK + 256;
const HEAP = 2 * 65536;

const SUSPENDING = "env.wait,env.wait64,env.wait_f";
/** How a guest is built, by turns: arguments of `wasm-opt`. */
const BUILDS = [
    ["-g", "--asyncify"],
    ["-g", "-O2", "--asyncify", "-O2"],
    ["-O3", "--asyncify", "-O3"],
    ["-g", "--asyncify", "--pass-arg=asyncify-ignore-indirect", "-Os"],
];

/** A small generator of numbers (xorshift), so that a seed gives one guest. */
class Random {
    constructor(seed) {
        this.state = (seed * 2654435761 + 1) >>> 0 || 1;
        for (let i = 0; i < 8; i++) this.next();
    }
    next() {
        let x = this.state;
        x ^= x << 13;
        x ^= x >>> 17;
        x ^= x << 5;
        this.state = x >>> 0;
        return this.state;
    }
    below(n) {
        return this.next() % n;
    }
    pick(list) {
        return list[this.below(list.length)];
    }
    chance(percent) {
        return this.below(100) < percent;
    }
}

const WAITS = { i32: "$wait", i64: "$wait64", f64: "$wait_f" };
const LOCALS = { i32: ["$a", "$x0", "$x1", "$x2"], i64: ["$b", "$y0", "$y1"], f64: ["$z0", "$z1"] };
const SIZES = { i32: 4, i64: 8, f64: 8 };

/** One function's body, as text. */
class Body {
    /**
     * @param random numbers
     * @param level functions of lower levels can be called
     * @param functions all functions so far, by level: `{ name, result }`
     * @param ignoresIndirect whether calls through the table must not suspend
     */
    constructor(random, level, functions, ignoresIndirect) {
        this.random = random;
        this.functions = functions.slice(0, level).flat();
        this.indirect = level > 0 && !ignoresIndirect;
        // How many calls and waits may still be written.
        this.sites = 1 + random.below(3);
        this.calls = 2;
        this.loops = 1;
        this.labels = 0;
        // 0: it has no object on the shadow stack.
        this.frame = random.chance(75) ? 16 * (1 + random.below(4)) : 0;
        this.counters = 0;
    }

    type() {
        return this.random.pick(["i32", "i32", "i64", "f64"]);
    }

    constant(type) {
        const value = this.random.pick([0, 1, 2, 3, 7, 255, 65535, -1, -2, this.random.next() | 0]);
        return type === "f64" ? `(f64.const ${value / 4})` : `(${type}.const ${value})`;
    }

    /** An address in the slot, an object of this frame, or the caller's object; aligned, and in bounds. */
    place(type) {
        const places = ["slot", "caller"];
        if (this.frame > 0) places.push("frame", "frame");
        const place = this.random.pick(places);
        const size = SIZES[type];
        if (place === "slot") {
            if (this.random.chance(30)) {
                // Computed: anywhere in the slot.
                const within = `(i32.and ${this.simple("i32")} (i32.const ${256 - size}))`;
                return [`(i32.add (local.get $memory) ${within})`, 0];
            }
            return ["(local.get $memory)", size * this.random.below(256 / size)];
        }
        if (place === "caller") return ["(local.get $object)", size * this.random.below(16 / size)];
        return ["(local.get $frame)", size * this.random.below(this.frame / size)];
    }

    /** An expression without calls. */
    simple(type) {
        return this.random.chance(40) ? this.constant(type) : `(local.get ${this.random.pick(LOCALS[type])})`;
    }

    expression(type, depth) {
        if (depth === 0) return this.simple(type);
        const random = this.random;
        const sub = (of = type) => this.expression(of, depth - 1);
        const kind = random.below(16);
        if (kind < 5 && this.sites > 0) return this.site(type, depth);
        if (kind < 7) {
            const [address, offset] = this.place(type);
            return `(${type}.load offset=${offset} ${address})`;
        }
        if (kind === 7) return `(select ${sub()} ${sub()} ${sub("i32")})`;
        if (kind === 8) return `(if (result ${type}) ${sub("i32")} (then ${sub()}) (else ${sub()}))`;
        if (kind === 9) {
            const local = random.pick(LOCALS[type]);
            return `(local.tee ${local} ${sub()})`;
        }
        if (kind === 10) {
            if (type === "i32") {
                return random.pick([
                    () => `(i32.wrap_i64 ${sub("i64")})`,
                    () => `(i32.trunc_sat_f64_s ${sub("f64")})`,
                    () => `(i64.lt_s ${sub("i64")} ${sub("i64")})`,
                    () => `(f64.lt ${sub("f64")} ${sub("f64")})`,
                ])();
            }
            return type === "i64" ? `(i64.extend_i32_u ${sub("i32")})` : `(f64.convert_i32_s ${sub("i32")})`;
        }
        const operators =
            type === "f64"
                ? ["add", "sub", "mul", "min", "copysign"]
                : ["add", "sub", "mul", "xor", "and", "or", "shl", "rotl", "shr_u"];
        return `(${type}.${random.pick(operators)} ${sub()} ${sub()})`;
    }

    /** A call that may suspend, or that reaches what does. */
    site(type, depth) {
        this.sites -= 1;
        const random = this.random;
        const candidates = this.functions.filter((found) => found.result === type);
        const inner = Math.min(depth - 1, 1);
        if (this.calls > 0 && random.chance(60)) {
            if (type === "i32" && this.indirect && random.chance(35)) {
                this.calls -= 1;
                const index = `(i32.and ${this.expression("i32", inner)} (i32.const 3))`;
                return `(call_indirect (type $i32) ${this.args(inner)} ${index})`;
            }
            if (type === "i32" && random.chance(15)) {
                this.calls -= 1;
                const rounds = `(i32.and ${this.expression("i32", inner)} (i32.const 7))`;
                return `(call $recurse (local.get $slot) ${rounds} (local.get $object))`;
            }
            if (candidates.length > 0) {
                this.calls -= 1;
                return `(call ${random.pick(candidates).name} ${this.args(inner)})`;
            }
        }
        return `(call ${WAITS[type]} (local.get $slot) ${this.expression(type, inner)})`;
    }

    args(depth) {
        const objects = ["(local.get $object)"];
        for (let at = 0; at < this.frame; at += 16) {
            objects.push(`(i32.add (local.get $frame) (i32.const ${at}))`);
        }
        const [a, b] = [this.expression("i32", depth), this.expression("i64", depth)];
        return `(local.get $slot) ${a} ${b} ${this.random.pick(objects)}`;
    }

    block(depth, count) {
        return Array.from({ length: count }, () => this.statement(depth)).join("\n");
    }

    statement(depth) {
        const random = this.random;
        const type = this.type();
        const kind = random.below(depth > 0 ? 15 : 8);
        if (kind < 3) return `(local.set ${random.pick(LOCALS[type])} ${this.expression(type, 3)})`;
        if (kind < 6) {
            const [address, offset] = this.place(type);
            return `(${type}.store offset=${offset} ${address} ${this.expression(type, 3)})`;
        }
        if (kind === 6) return `(call $note (local.get $slot) ${this.expression("i32", 2)})`;
        if (kind === 7) {
            // Read, added to and written with nothing in between: calls can't get into each other's way.
            const global = random.pick(["i32", "i64"]);
            const name = global === "i32" ? "$sum" : "$sum64";
            return `(global.set ${name} (${global}.add (global.get ${name}) ${this.simple(global)}))`;
        }
        if (kind < 10) {
            const otherwise = random.chance(50) ? `(else ${this.block(depth - 1, 1 + random.below(2))})` : "";
            return `(if ${this.expression("i32", 2)} (then ${this.block(depth - 1, 1 + random.below(2))}) ${otherwise})`;
        }
        const label = `$l${this.labels++}`;
        if (kind < 12) {
            const before = this.block(depth - 1, 1);
            const condition = this.expression("i32", 2);
            return `(block ${label} ${before} (br_if ${label} ${condition}) ${this.block(depth - 1, 1)})`;
        }
        if (kind === 12 && this.loops > 0) {
            this.loops -= 1;
            const counter = `$n${this.counters++}`;
            const step = `(local.tee ${counter} (i32.add (local.get ${counter}) (i32.const 1)))`;
            const again = `(br_if ${label} (i32.lt_u ${step} (i32.const ${1 + random.below(3)})))`;
            return `(local.set ${counter} (i32.const 0)) (loop ${label} ${this.block(depth - 1, 2)} ${again})`;
        }
        if (kind === 13) {
            const other = `$l${this.labels++}`;
            const index = this.expression("i32", 1);
            const table = `(br_table ${label} ${other} ${label} ${index})`;
            return `(block ${label} (block ${other} ${table}) ${this.block(depth - 1, 1)})`;
        }
        if (kind === 14 && random.chance(50)) {
            // Out of the function, its frame given back on the way.
            return `(if ${this.expression("i32", 1)} (then (br $end ${this.simple(this.result)})))`;
        }
        return this.sites > 0 ? `(drop ${this.site(type, 2)})` : "(nop)";
    }

    text(name, result) {
        this.result = result;
        const body = this.block(2, 3 + this.random.below(4));
        const last = this.expression(result, 3);
        const counters = Array.from({ length: this.counters }, (_, i) => `(local $n${i} i32)`).join(" ");
        const lower = `(global.set $__stack_pointer (local.tee $frame
            (i32.sub (global.get $__stack_pointer) (i32.const ${this.frame}))))
            ${clear(this.frame)}`;
        const raise = `(global.set $__stack_pointer (i32.add (local.get $frame) (i32.const ${this.frame})))`;
        return `(func ${name} (type $${result}) (param $slot i32) (param $a i32) (param $b i64) (param $object i32)
            (result ${result})
            (local $x0 i32) (local $x1 i32) (local $x2 i32) (local $y0 i64) (local $y1 i64) (local $z0 f64) (local $z1 f64)
            (local $frame i32) (local $memory i32) (local $r ${result}) ${counters}
            (local.set $memory (i32.add (i32.const ${SLOTS}) (i32.shl (local.get $slot) (i32.const 8))))
            ${this.frame > 0 ? lower : ""}
            (local.set $r (block $end (result ${result}) ${body} ${last}))
            ${this.frame > 0 ? raise : ""}
            (local.get $r))`;
    }
}

/** What a frame holds before it is written to must not depend on who was here before. */
function clear(size) {
    const stores = [];
    for (let at = 0; at < size; at += 8) {
        stores.push(`(i64.store offset=${at} (local.get $frame) (i64.const 0))`);
    }
    return stores.join(" ");
}

function guest(seed) {
    const random = new Random(seed);
    const ignoresIndirect = seed % BUILDS.length === 3;
    const functions = [];
    const texts = [];
    for (let level = 0; level < LEVELS; level++) {
        const made = [];
        for (let i = 0; i < FUNCTIONS_OF_A_LEVEL; i++) {
            // The table's functions are of one type.
            const result = level === 0 && i < 4 ? "i32" : random.pick(["i32", "i32", "i64", "f64"]);
            const name = `$f${level}_${i}`;
            texts.push(new Body(random, level, functions, ignoresIndirect).text(name, result));
            made.push({ name, result });
        }
        functions.push(made);
    }
    for (let i = 0; i < PROGRAMS; i++) {
        const top = random.pick(random.pick(functions.slice(-2)));
        texts.push(`(func (export "p${i}") (param $slot i32) (param $a i32) (param $b i64) (result ${top.result})
            (local $frame i32) (local $r ${top.result})
            (global.set $__stack_pointer
                (local.tee $frame (i32.sub (global.get $__stack_pointer) (i32.const 16))))
            ${clear(16)}
            (local.set $r (call ${top.name} (local.get $slot) (local.get $a) (local.get $b) (local.get $frame)))
            (global.set $__stack_pointer (i32.add (local.get $frame) (i32.const 16)))
            (local.get $r))`);
    }
    const type = (result) => `(type $${result} (func (param i32 i32 i64 i32) (result ${result})))`;
    return `(module
        ${["i32", "i64", "f64"].map(type).join(" ")}
        (import "env" "wait" (func $wait (param i32 i32) (result i32)))
        (import "env" "wait64" (func $wait64 (param i32 i64) (result i64)))
        (import "env" "wait_f" (func $wait_f (param i32 f64) (result f64)))
        (import "env" "note" (func $note (param i32 i32)))
        (memory (export "memory") ${HEAP / 65536})
        ;; Where the heap begins that is free, as C keeps it: not in a global.
        (data (i32.const ${STACK}) "\\00\\00\\02\\00")
        (global $__stack_pointer (mut i32) (i32.const ${STACK}))
        (global $sum (export "sum") (mut i32) (i32.const 0))
        (global $sum64 (export "sum64") (mut i64) (i64.const 0))
        (table 4 funcref)
        (elem (i32.const 0) $f0_0 $f0_1 $f0_2 $f0_3)
        (func (export "malloc") (param $size i32) (result i32) (local $at i32) (local $end i32)
            (local.set $at (i32.load (i32.const ${STACK})))
            (local.set $end (i32.and (i32.const -16)
                (i32.add (i32.add (local.get $at) (local.get $size)) (i32.const 15))))
            (block $fits
                (br_if $fits (i32.le_u (local.get $end) (i32.shl (memory.size) (i32.const 16))))
                (br_if $fits (i32.ne (i32.const -1) (memory.grow
                    (i32.add (i32.shr_u (local.get $size) (i32.const 16)) (i32.const 1)))))
                (return (i32.const 0)))
            (i32.store (i32.const ${STACK}) (local.get $end))
            (local.get $at))
        (func (export "free") (param i32))
        (func (export "plain") (param $slot i32) (param $a i32) (result i32)
            (local $frame i32) (local $r i32) (local $i i32)
            (global.set $__stack_pointer
                (local.tee $frame (i32.sub (global.get $__stack_pointer) (i32.const 32))))
            (loop $fill
                (i32.store (i32.add (local.get $frame) (i32.shl (local.get $i) (i32.const 2)))
                    (i32.add (local.get $a) (local.get $i)))
                (br_if $fill (i32.lt_u
                    (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 6))))
            (call $note (local.get $slot) (local.get $a))
            (loop $add
                (local.set $i (i32.sub (local.get $i) (i32.const 1)))
                (local.set $r (i32.add (local.get $r)
                    (i32.load (i32.add (local.get $frame) (i32.shl (local.get $i) (i32.const 2))))))
                (br_if $add (local.get $i)))
            (global.set $__stack_pointer (i32.add (local.get $frame) (i32.const 32)))
            (local.get $r))
        (func $recurse (param $slot i32) (param $rounds i32) (param $object i32) (result i32)
            (local $frame i32) (local $r i32)
            (global.set $__stack_pointer
                (local.tee $frame (i32.sub (global.get $__stack_pointer) (i32.const 32))))
            ${clear(32)}
            (i32.store offset=4 (local.get $frame) (local.get $rounds))
            (if (local.get $rounds)
                (then (local.set $r (call $recurse (local.get $slot)
                    (i32.sub (local.get $rounds) (i32.const 1)) (local.get $frame))))
                (else (local.set $r (call $wait (local.get $slot) (i32.load (local.get $object))))))
            (i32.store (local.get $object) (i32.add (i32.load (local.get $object)) (local.get $r)))
            (local.set $r (i32.mul (i32.const 31)
                (i32.add (local.get $r) (i32.load offset=4 (local.get $frame)))))
            (global.set $__stack_pointer (i32.add (local.get $frame) (i32.const 32)))
            (local.get $r))
        ${texts.join("\n")})`;
}

const count = Number(process.argv[2] ?? 12);
const first = Number(process.argv[3] ?? 0);
const built = join(import.meta.dirname, "built");
rmSync(built, { recursive: true, force: true });
mkdirSync(built);
const work = mkdtempSync(join(tmpdir(), "guests-"));
const wasmOpt = join(import.meta.dirname, "node_modules/.bin/wasm-opt");
for (let seed = first; seed < first + count; seed++) {
    const text = join(work, "guest.wat");
    writeFileSync(text, guest(seed));
    const output = join(built, `${String(seed).padStart(4, "0")}.wasm`);
    const features = ["--enable-nontrapping-float-to-int", "--enable-mutable-globals", "--enable-bulk-memory-opt"];
    const args = [text, ...features, ...BUILDS[seed % BUILDS.length], `--pass-arg=asyncify-imports@${SUSPENDING}`];
    execFileSync(wasmOpt, [...args, "-o", output], { stdio: ["ignore", "inherit", "inherit"] });
}
rmSync(work, { recursive: true });
