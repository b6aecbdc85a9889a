//! A guest, the calls in flight, and what one step of a program does to them and to the model.

use std::task::Poll;

use asyncify_rt::{Call, Guest};
use proptest::prelude::*;
use wasmtime::{Extern, Val};

use crate::flight::{Gates, block_on, i32, poll, w};
use crate::kinds::{Function, Kind};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
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

pub(crate) fn op() -> impl Strategy<Value = Op> {
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
pub(crate) struct Flying {
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

pub(crate) struct World<'a> {
    kind: &'a Kind,
    pub(crate) guest: Guest,
    gates: Gates,
    pub(crate) flying: Vec<Flying>,
    dropped: usize,
    pub(crate) most: usize,
}

impl<'a> World<'a> {
    pub(crate) fn new(kind: &'a Kind, guest: Guest, gates: Gates) -> Self {
        Self { kind, guest, gates, flying: Vec::new(), dropped: 0, most: 0 }
    }

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

    pub(crate) fn run(&mut self, op: Op) {
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
