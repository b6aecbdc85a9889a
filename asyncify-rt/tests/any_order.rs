//! Random programs of calls that start, go on, end and are cancelled in any order, against a model.

mod flight;

use std::sync::LazyLock;
use std::task::Poll;

use asyncify_rt::{
    AsyncImports, Call, Guest, GuestCx, ImportResult, Module, Place, StackPointer, StackPolicy,
};
use flight::answers::{indirect, operands, plain_sum, recurse, repeated, sum};
use flight::{Gates, block_on, i32, poll, stack_pointer, unary, w};
use proptest::prelude::*;
use wasmtime::{Engine, Extern, FuncType, Val, ValType};

/// A guest, and which of its functions the programs call.
struct Kind {
    module: Module,
    functions: &'static [Function],
    /// Calls a function that does not suspend, and looks at what it answers.
    plain: Plain,
}

impl Kind {
    /// Whether its regions, if it has any, have none of its own.
    fn needs_place(&self) -> bool {
        let findings = self.module.findings();
        findings.allocator().is_none() && *findings.stack_pointer() != StackPointer::Absent
    }
}

type Plain = fn(&mut GuestCx<'_, ()>, u32, u32);

#[derive(Clone, Copy)]
struct Function {
    name: &'static str,
    /// Its arguments, from any two numbers.
    args: fn(u32, u32) -> Vec<u32>,
    model: fn(&[u32], &mut dyn FnMut(u32) -> u32) -> u32,
    /// Whether its frame may be thrown away without harm to other calls.
    may_drop: bool,
}

const STACK: &[Function] = &[
    Function {
        name: "sum",
        args: |a, b| vec![a, b % 4],
        model: |args, ask| sum(args[0], args[1], ask),
        may_drop: true,
    },
    Function {
        name: "recurse",
        args: |a, b| vec![a % 40, b],
        model: |args, ask| recurse(args[0], args[1], ask),
        may_drop: true,
    },
];

const QUEUE: Function = Function {
    name: "enqueue_and_wait",
    args: |a, _| vec![a],
    model: |args, ask| args[0].wrapping_mul(31).wrapping_add(ask(args[0])),
    may_drop: false,
};

const STACK_AND_QUEUE: &[Function] = &[STACK[0], STACK[1], QUEUE];

const VALUES: &[Function] = &[
    Function {
        name: "loop",
        args: |a, b| vec![a, b % 6],
        model: |args, ask| repeated(args[0], args[1], ask),
        may_drop: true,
    },
    Function {
        name: "operands",
        args: |a, _| vec![a],
        model: |args, ask| operands(args[0], ask),
        may_drop: true,
    },
    Function {
        name: "indirect",
        args: |a, b| vec![b % 4, a],
        model: |args, ask| indirect(args[0], args[1], ask),
        may_drop: true,
    },
];

const YIELDING: &[Function] = &[
    Function {
        name: "frames",
        args: |a, _| vec![a % 50],
        model: |args, ask| args[0].wrapping_add(ask(7)),
        may_drop: true,
    },
    Function {
        name: "spin",
        args: |a, _| vec![a % 5],
        model: |args, ask| {
            (0..args[0]).for_each(|_| _ = ask(0));
            args[0]
        },
        may_drop: true,
    },
];

const MARSHAL: &[Function] = &[
    Function {
        name: "call_echo_u32",
        args: |a, _| vec![a],
        model: |args, ask| ask(args[0]),
        may_drop: true,
    },
    // 256 bytes on the shadow stack, and a trap if one of them changes; the import fills none.
    Function {
        name: "fill_stack",
        args: |a, _| vec![a % 300],
        model: |_, ask| {
            ask(0);
            2_166_136_261
        },
        may_drop: true,
    },
];

static ENGINE: LazyLock<Engine> = LazyLock::new(Engine::default);

fn kind(guest: &str, functions: &'static [Function], plain: Plain) -> Kind {
    Kind { module: flight::module(&ENGINE, guest), functions, plain }
}

/// The imports of all these guests. What a gate's answer is can be changed while it waits.
fn imports(gates: &Gates) -> AsyncImports<()> {
    let mut imports = flight::values_imports(&ENGINE, gates);
    let waiting = gates.clone();
    unary(&ENGINE, &mut imports, "echo_u32", move |tag| {
        let gate = waiting.wait();
        ImportResult::wait(async move {
            gate.await;
            Ok(vec![i32(w(tag))])
        })
    });
    let shapes = [
        ("fill", vec![ValType::I32; 2], vec![ValType::I32], vec![i32(0)]),
        ("yield_now", vec![], vec![], vec![]),
        ("pause", vec![], vec![ValType::I32], vec![i32(w(7))]),
    ];
    for (name, params, results, answer) in shapes {
        let gates = gates.clone();
        imports.define("env", name, FuncType::new(&ENGINE, params, results), move |_, _| {
            let (gate, answer) = (gates.wait(), answer.clone());
            Ok(ImportResult::wait(async move {
                gate.await;
                Ok(answer)
            }))
        });
    }
    imports
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Start {
        function: usize,
        a: u32,
        b: u32,
    },
    /// Lets one import go on, and polls its call.
    Complete(usize),
    /// Lets one import go on; its call is polled when something else polls it.
    Open(usize),
    Poll(usize),
    Drop(usize),
    /// Answers the import that a call waits in, with another answer.
    Answer(usize, u32),
    Plain(u32, u32),
    Grow,
    Collect,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (any::<usize>(), any::<u32>(), any::<u32>())
            .prop_map(|(function, a, b)| Op::Start { function, a, b }),
        6 => any::<usize>().prop_map(Op::Complete),
        2 => any::<usize>().prop_map(Op::Open),
        2 => any::<usize>().prop_map(Op::Poll),
        2 => any::<usize>().prop_map(Op::Drop),
        1 => (any::<usize>(), any::<u32>()).prop_map(|(call, value)| Op::Answer(call, value)),
        2 => (any::<u32>(), any::<u32>()).prop_map(|(a, b)| Op::Plain(a, b)),
        1 => Just(Op::Grow),
        1 => Just(Op::Collect),
    ]
}

/// A call in flight, and what is known of it.
struct Flying {
    call: Call<Vec<Val>>,
    function: Function,
    args: Vec<u32>,
    /// The gate that it waits at, and whether that is open.
    gate: Option<(u64, bool)>,
    waits: usize,
    /// Answers that differ from the formula, by the number of the wait.
    changed: Vec<(usize, u32)>,
}

impl Flying {
    fn expected(&self) -> u32 {
        let mut number = 0;
        (self.function.model)(&self.args, &mut |tag| {
            let answer = self.changed.iter().find(|(at, _)| *at == number);
            number += 1;
            answer.map_or(w(tag), |(_, answer)| *answer)
        })
    }
}

struct World<'a> {
    kind: &'a Kind,
    guest: Guest,
    gates: Gates,
    flying: Vec<Flying>,
    dropped: usize,
    most: usize,
}

impl World<'_> {
    /// Polls a call; takes it out if it has ended, after comparing its answer.
    fn poll(&mut self, index: usize) {
        let before = self.gates.waiting();
        let flying = &mut self.flying[index];
        match poll(&mut flying.call) {
            Poll::Ready(answer) => {
                assert!(flying.gate.is_none_or(|(_, open)| open), "it did not wait");
                let answer = answer.unwrap()[0].unwrap_i32().cast_unsigned();
                assert_eq!(answer, flying.expected(), "{}{:?}", flying.function.name, flying.args);
                self.flying.swap_remove(index);
            }
            Poll::Pending => {
                let fresh = self.gates.waiting().into_iter().find(|id| !before.contains(id));
                if let Some(id) = fresh {
                    flying.gate = Some((id, false));
                    flying.waits += 1;
                } else {
                    assert!(flying.gate.is_some_and(|(_, open)| !open), "it waits for nothing");
                }
            }
        }
        self.most = self.most.max(self.flying.len());
    }

    fn pick(&self, index: usize) -> Option<usize> {
        (!self.flying.is_empty()).then(|| index % self.flying.len())
    }

    fn open(&mut self, index: usize) {
        if let Some((id, open)) = &mut self.flying[index].gate {
            *open = true;
            self.gates.open(*id);
        }
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Start { function, a, b } => {
                let function = self.kind.functions[function % self.kind.functions.len()];
                let args = (function.args)(a, b);
                let export = self.guest.all_exports().function(function.name).unwrap();
                let call = export.call(args.iter().copied().map(i32).collect::<Vec<_>>());
                let (gate, waits, changed) = (None, 0, Vec::new());
                self.flying.push(Flying { call, function, args, gate, waits, changed });
                // Every other one is not polled yet: it may be dropped before it starts.
                if a % 2 == 0 {
                    self.poll(self.flying.len() - 1);
                }
            }
            Op::Complete(index) => {
                if let Some(index) = self.pick(index) {
                    self.open(index);
                    self.poll(index);
                }
            }
            Op::Open(index) => {
                if let Some(index) = self.pick(index) {
                    self.open(index);
                }
            }
            Op::Poll(index) => {
                if let Some(index) = self.pick(index) {
                    self.poll(index);
                }
            }
            Op::Drop(index) => {
                if let Some(index) = self.pick(index)
                    && self.flying[index].function.may_drop
                {
                    let flying = self.flying.swap_remove(index);
                    let waited = flying.gate.is_some();
                    drop(flying);
                    self.dropped += usize::from(waited);
                    assert_eq!(self.gates.dropped(), self.dropped, "the future goes at once");
                }
            }
            Op::Answer(index, value) => {
                if let Some(index) = self.pick(index) {
                    self.answer(index, value);
                }
            }
            Op::Plain(a, b) => {
                block_on(self.guest.with(|cx| (self.kind.plain)(cx, a, b % 100))).unwrap();
            }
            Op::Grow => grow(&self.guest),
            Op::Collect => {
                let stats = block_on(self.guest.stats()).unwrap();
                let parked = self.flying.iter().filter(|flying| flying.gate.is_some()).count();
                assert_eq!(stats.parked_calls, parked);
            }
        }
    }

    fn answer(&mut self, index: usize, value: u32) {
        let flying = &mut self.flying[index];
        let numbers =
            ["sum", "recurse", "enqueue_and_wait", "loop", "operands", "indirect", "frames"];
        if flying.gate.is_none() || !numbers.contains(&flying.function.name) {
            return;
        }
        flying.call.cancel(&[i32(value)]).unwrap();
        self.dropped += 1;
        flying.gate = flying.gate.map(|(id, _)| (id, true));
        flying.changed.push((flying.waits - 1, value));
        self.poll(index);
    }
}

fn grow(guest: &Guest) {
    block_on(guest.with(|cx| {
        let allocates = matches!(cx.export("malloc"), Some(Extern::Func(_)));
        if allocates {
            // Its heap is all of its memory: only its own allocator may make that larger.
            let at = cx.call::<u32, u32>("malloc", 100_000).unwrap();
            cx.call::<u32, ()>("free", at).unwrap();
        } else if let Some(Extern::Memory(memory)) = cx.export("memory") {
            memory.grow(cx.store().unwrap(), 1).unwrap();
        }
    }))
    .unwrap();
}

fn check(kind: &Kind, policy: StackPolicy, ops: &[Op]) {
    let gates = Gates::default();
    let builder = Guest::builder(&kind.module).async_imports(imports(&gates));
    let regions = policy == StackPolicy::Separate && kind.needs_place();
    let builder = builder.trap_unknown_imports().stack_policy(policy);
    let builder = builder.place(if regions { Place::Grow } else { Place::Auto });
    let guest = block_on(builder.instantiate()).unwrap();
    let base = stack_pointer(&guest, &kind.module);
    let mut world = World { kind, guest, gates, flying: Vec::new(), dropped: 0, most: 0 };
    for op in ops {
        world.run(*op);
    }
    let mut turn = 0;
    while !world.flying.is_empty() {
        turn += 7;
        world.run(Op::Complete(turn));
    }
    let stats = block_on(world.guest.stats()).unwrap();
    assert_eq!((stats.parked_calls, stats.parked_bytes), (0, 0));
    assert!(stats.most_regions_in_use <= world.most);
    assert!(!block_on(world.guest.is_poisoned()).unwrap());
    assert_eq!(stack_pointer(&world.guest, &kind.module), base);
}

fn programs(kind: &Kind, policies: &[StackPolicy]) {
    let config = ProptestConfig {
        cases: 48,
        max_shrink_iters: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    for policy in policies {
        let mut runner = proptest::test_runner::TestRunner::new(config.clone());
        let ops = proptest::collection::vec(op(), 1..80);
        let result = runner.run(&ops, |ops| {
            check(kind, *policy, &ops);
            Ok(())
        });
        if let Err(error) = result {
            panic!("{policy:?}: {error}");
        }
    }
}

const POLICIES: [StackPolicy; 2] = [StackPolicy::Separate, StackPolicy::Copied];

fn sums(cx: &mut GuestCx<'_, ()>, a: u32, b: u32) {
    assert_eq!(cx.call::<(u32, u32), u32>("plain_sum", (a, b)).unwrap(), plain_sum(a, b));
}

#[test]
fn frames_on_the_shadow_stack() {
    programs(&kind("stack.wasm", STACK_AND_QUEUE, sums), &[StackPolicy::Separate]);
    programs(&kind("stack.wasm", STACK, sums), &[StackPolicy::Copied]);
}

#[test]
fn frames_on_a_large_shadow_stack_and_a_heap() {
    programs(&kind("stack-libc.wasm", STACK_AND_QUEUE, sums), &[StackPolicy::Separate]);
    programs(&kind("stack-libc.wasm", STACK, sums), &[StackPolicy::Copied]);
}

#[test]
fn no_shadow_stack() {
    let values = kind("values.wasm", VALUES, |cx, _, b| {
        let pages = cx.call::<(), u32>("pages", ()).unwrap();
        assert_eq!(cx.call::<u32, u32>("grow", b % 2).unwrap(), pages);
    });
    assert_eq!(*values.module.findings().stack_pointer(), StackPointer::Absent);
    programs(&values, &POLICIES);
    let yielding = kind("yielding.wasm", YIELDING, |cx, _, _| cx.call("nop", ()).unwrap());
    assert_eq!(*yielding.module.findings().stack_pointer(), StackPointer::Absent);
    programs(&yielding, &POLICIES);
}

#[test]
fn an_allocator_of_its_own() {
    let marshal = kind("marshal.wasm", MARSHAL, |cx, a, b| {
        let at = cx.call::<u32, u32>("malloc", b).unwrap();
        cx.call::<u32, ()>("free", at).unwrap();
        assert_eq!(cx.call::<(u32, u32), u32>("sum_bytes", (a % 1_000, 0)).unwrap(), 0);
    });
    programs(&marshal, &POLICIES);
}
