//! Random guests: the same calls with imports that wait, all in one instance, and with imports that
//! answer at once, in another.
//!
//! The guests are those that `guests/generate.mjs` writes, which says what can be relied on.

mod host;

use std::fs;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use arbitrary::{Arbitrary, Unstructured};
use asyncify::wasmtime::{Engine, Extern, Val};
use asyncify::{Call, Guest, GuestCx, Module, Place, StackPointer, StackPolicy};

use host::{Host, SLOTS};

static ENGINE: LazyLock<Engine> = LazyLock::new(Engine::default);

static MODULES: LazyLock<Vec<Module>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests/built");
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|_| panic!("there is no {folder:?}; run `node guests/generate.mjs`"))
        .map(|entry| entry.expect("an entry of a folder").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{folder:?} is empty; run `node guests/generate.mjs`");
    let load = |path: &PathBuf| {
        let module = Module::from_file(&ENGINE, path).expect("Binaryen's output");
        let found = module.findings().stack_pointer();
        assert!(matches!(found, StackPointer::Found { .. }), "{path:?}: {found}");
        module
    };
    paths.iter().map(load).collect()
});

/// How many programs a guest has.
const PROGRAMS: u8 = 8;
/// Where the slots are, and how large one is.
const SLOT: (u32, u32) = (65536 + 256, 256);

/// How a guest is made.
#[derive(Debug)]
struct Setting {
    module: u8,
    policy: u8,
    grow: bool,
    /// How much larger the first window is than what every program needs.
    window: u16,
    /// Which waits are ready at once: a bit each, by slot and number.
    ready: [u8; 8],
}

impl Arbitrary<'_> for Setting {
    fn arbitrary(input: &mut Unstructured<'_>) -> arbitrary::Result<Self> {
        Ok(Self {
            module: input.arbitrary()?,
            policy: input.arbitrary()?,
            grow: input.arbitrary()?,
            window: input.arbitrary()?,
            ready: input.arbitrary()?,
        })
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Start {
        program: u8,
        a: i32,
        b: i64,
    },
    /// Lets the import answer that a call waits in; the call is polled.
    Answer(u8),
    /// Lets it answer; the call is polled when something else polls it.
    Open(u8),
    Poll(u8),
    Drop(u8),
    /// Answers for the import, with another answer.
    Cancel(u8, i64),
    Plain(i32),
    Grow,
}

choices!(Op: Start { program, a, b }, Answer(a), Open(a), Poll(a), Drop(a), Cancel(a, b), Plain(a), Grow);

/// A call, and what it was made of.
#[derive(Clone, Copy)]
struct Started {
    slot: u32,
    program: u8,
    a: i32,
    b: i64,
}

impl Started {
    fn call(self, guest: &Guest) -> Call<Vec<Val>> {
        let name = format!("p{}", self.program % PROGRAMS);
        let function = guest.all_exports().function(&name).expect("a program");
        function.call([Val::I32(self.slot.cast_signed()), Val::I32(self.a), Val::I64(self.b)])
    }
}

/// Runs the calls that `data` stands for, in both ways.
///
/// # Panics
///
/// If a call that waited answers, notes or leaves behind anything else than the one that did not.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(setting) = Setting::arbitrary(&mut input) else { return };
    let modules = &*MODULES;
    let module = &modules[usize::from(setting.module) % modules.len()];
    let mut world = World::new(module, &setting);
    crate::list(&mut input, 200).into_iter().for_each(|op| world.step(op));
    world.end();
}

struct World<'a> {
    module: &'a Module,
    host: Host,
    guest: Guest,
    /// A call may wait for its turn.
    exclusive: bool,
    stack_pointer: Val,
    flying: Vec<(Started, Call<Vec<Val>>)>,
    ended: Vec<(Started, Vec<Val>)>,
    slots: u32,
    plain: Vec<i32>,
    dropped: bool,
}

impl<'a> World<'a> {
    fn new(module: &'a Module, setting: &Setting) -> Self {
        let host = Host::waiting(setting.ready);
        let policies = [StackPolicy::Separate, StackPolicy::Copied, StackPolicy::Exclusive];
        let policy = policies[usize::from(setting.policy) % policies.len()];
        let builder = Guest::builder(module)
            .async_imports(host.imports(&ENGINE))
            .stack_policy(policy)
            .region_size(4096)
            .window_size(4096 + u64::from(setting.window))
            .place(if setting.grow { Place::Grow } else { Place::Auto });
        let guest = now(builder.instantiate()).expect("a guest");
        let stack_pointer = stack_pointer(&guest, module);
        Self {
            module,
            host,
            guest,
            exclusive: policy == StackPolicy::Exclusive,
            stack_pointer,
            flying: Vec::new(),
            ended: Vec::new(),
            slots: 0,
            plain: Vec::new(),
            dropped: false,
        }
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Start { program, a, b } if self.slots < SLOTS => {
                let started = Started { slot: self.slots, program, a, b };
                self.slots += 1;
                self.flying.push((started, started.call(&self.guest)));
                self.poll(self.flying.len() - 1);
            }
            Op::Start { .. } => {}
            Op::Answer(index) => {
                if let Some(index) = self.pick(index) {
                    self.host.open(self.flying[index].0.slot);
                    self.poll(index);
                }
            }
            Op::Open(index) => {
                if let Some(index) = self.pick(index) {
                    self.host.open(self.flying[index].0.slot);
                }
            }
            Op::Poll(index) => {
                if let Some(index) = self.pick(index) {
                    self.poll(index);
                }
            }
            Op::Drop(index) => {
                if let Some(index) = self.pick(index) {
                    let (started, call) = self.flying.swap_remove(index);
                    drop(call);
                    self.dropped = true;
                    assert!(!self.host.waits(started.slot), "the import's future goes at once");
                }
            }
            Op::Cancel(index, value) => {
                if let Some(index) = self.pick(index) {
                    let (started, call) = &mut self.flying[index];
                    if let Some(answer) = self.host.cancelled(started.slot, value) {
                        call.cancel(&[answer]).expect("it waits in an import");
                        assert!(!self.host.waits(started.slot), "the import's future goes at once");
                        self.poll(index);
                    }
                }
            }
            Op::Plain(a) => self.plain(a),
            Op::Grow => {
                now(self.guest.with(|cx| cx.grow_memory(1))).expect("nobody holds the guest");
            }
        }
    }

    fn pick(&self, index: u8) -> Option<usize> {
        (!self.flying.is_empty()).then(|| usize::from(index) % self.flying.len())
    }

    /// Polls a call, and takes it out if it has ended.
    fn poll(&mut self, index: usize) {
        let (started, call) = &mut self.flying[index];
        let waited = self.host.waits_shut(started.slot);
        match Pin::new(call).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => {
                assert!(!waited, "it had no answer to go on with");
                let answer = answer.expect("nothing here fails");
                self.ended.push((*started, answer));
                drop(self.flying.swap_remove(index));
            }
            Poll::Pending => {
                assert!(self.exclusive || self.host.waits(started.slot), "it waits for nothing");
            }
        }
    }

    /// A call that does not suspend, with an object of its own on the stack.
    fn plain(&mut self, a: i32) {
        let call = |cx: &mut GuestCx<'_, ()>| cx.call::<(u32, i32), i32>("plain", (SLOTS, a));
        let answer =
            now(self.guest.with(call)).expect("nobody holds the guest").expect("an answer");
        assert_eq!(answer, a.wrapping_mul(6).wrapping_add(15));
        self.plain.push(a);
    }

    /// Lets all calls end, and compares.
    fn end(mut self) {
        let mut turn: usize = 0;
        while !self.flying.is_empty() {
            // Every one has its turn, and one may have to wait for the turns of others.
            turn = turn.wrapping_add(1);
            let index = turn % self.flying.len();
            self.host.open(self.flying[index].0.slot);
            self.poll(index);
        }
        let stats = now(self.guest.stats()).expect("nobody holds the guest");
        assert_eq!((stats.parked_calls, stats.parked_bytes), (0, 0));
        assert!(!now(self.guest.is_poisoned()).expect("nobody holds the guest"));
        assert_eq!(bits(&stack_pointer(&self.guest, self.module)), bits(&self.stack_pointer));

        let host = Host::at_once(&self.host);
        let builder = Guest::builder(self.module).async_imports(host.imports(&ENGINE));
        let guest = now(builder.instantiate()).expect("a guest");
        for (started, answer) in &self.ended {
            let expected = now(started.call(&guest)).expect("nothing here fails");
            let (answer, expected) = (bits(&answer[0]), bits(&expected[0]));
            let program = started.program % PROGRAMS;
            assert_eq!(answer, expected, "p{program}({}, {})", started.a, started.b);
            let slot = started.slot;
            assert_eq!(self.host.seen(slot), host.seen(slot), "the imports' arguments, in order");
            assert_eq!(memory(&self.guest, slot), memory(&guest, slot), "the slot");
        }
        assert_eq!(self.host.seen(SLOTS).len(), self.plain.len(), "plain calls");
        assert_eq!(now(guest.stats()).expect("nobody holds the guest").suspensions, 0);
        if !self.dropped {
            for a in self.plain {
                let call = |cx: &mut GuestCx<'_, ()>| cx.call::<_, i32>("plain", (SLOTS, a));
                now(guest.with(call)).expect("nobody holds the guest").expect("an answer");
            }
            for name in ["sum", "sum64"] {
                assert_eq!(bits(&global(&self.guest, name)), bits(&global(&guest, name)), "{name}");
            }
        }
    }
}

/// What a future has at its first poll.
fn now<F: Future>(future: F) -> F::Output {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("there is something to wait for"),
    }
}

fn global(guest: &Guest, name: &str) -> Val {
    let read = |cx: &mut GuestCx<'_, ()>| match cx.export(name) {
        Some(Extern::Global(global)) => global.get(cx.store().expect("nothing runs")),
        other => panic!("`{name}` is no global: {other:?}"),
    };
    now(guest.with(read)).expect("nobody holds the guest")
}

fn stack_pointer(guest: &Guest, module: &Module) -> Val {
    global(guest, module.findings().stack_pointer().export().expect("it was found"))
}

fn memory(guest: &Guest, slot: u32) -> Vec<u8> {
    let (first, size) = SLOT;
    let read = |cx: &mut GuestCx<'_, ()>| {
        cx.read(first + slot * size, size).expect("it is in the memory").to_vec()
    };
    now(guest.with(read)).expect("nobody holds the guest")
}

/// A value as a number; of a float, its bits.
fn bits(value: &Val) -> u64 {
    match value {
        Val::I32(value) => value.cast_unsigned().into(),
        Val::I64(value) => value.cast_unsigned(),
        Val::F64(bits) => *bits,
        other => panic!("no program returns {other:?}"),
    }
}
