//! The guests, what is called of them, and what that must answer.

use std::sync::LazyLock;

use asyncify_rt::{AsyncImports, GuestCx, ImportResult, Module, StackPointer};
use wasmtime::{Engine, FuncType, ValType};

use crate::flight::answers::{indirect, operands, recurse, repeated, sum};
use crate::flight::{self, Gates, i32, unary, w};

/// A guest, and which of its functions the programs call.
pub(crate) struct Kind {
    pub(crate) module: Module,
    pub(crate) functions: &'static [Function],
    /// Calls a function that does not suspend, and looks at what it answers.
    pub(crate) plain: Plain,
}

impl Kind {
    /// Whether its regions, if it has any, have none of its own.
    pub(crate) fn needs_place(&self) -> bool {
        let findings = self.module.findings();
        findings.allocator().is_none() && *findings.stack_pointer() != StackPointer::Absent
    }
}

pub(crate) type Plain = fn(&mut GuestCx<'_, ()>, u32, u32);

#[derive(Clone, Copy)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// Its arguments, from any two numbers.
    pub(crate) args: fn(u32, u32) -> Vec<u32>,
    pub(crate) model: fn(&[u32], &mut dyn FnMut(u32) -> u32) -> u32,
    /// Whether its frame may be thrown away without harm to other calls.
    pub(crate) may_drop: bool,
}

pub(crate) const STACK: &[Function] = &[
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

pub(crate) const STACK_AND_QUEUE: &[Function] = &[STACK[0], STACK[1], QUEUE];

pub(crate) const VALUES: &[Function] = &[
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

pub(crate) const YIELDING: &[Function] = &[
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

pub(crate) const MARSHAL: &[Function] = &[
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

pub(crate) fn kind(guest: &str, functions: &'static [Function], plain: Plain) -> Kind {
    Kind { module: flight::module(&ENGINE, guest), functions, plain }
}

/// The imports of all these guests. What a gate's answer is can be changed while it waits.
pub(crate) fn imports(gates: &Gates) -> AsyncImports<()> {
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
