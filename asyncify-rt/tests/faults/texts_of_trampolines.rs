//! Trampolines that are passed text from the last bytes of the memory, where a borrowed window is
//! while the guest unwinds and rewinds: their bodies see the guest's own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use asyncify_rt::private::{Direct, Ref};
use asyncify_rt::{Call, Error, Guest, GuestCx, ImportInfo, ParamInfo};
use wasmtime::Engine;

use crate::common::{Desk, WAIT, answer, block_on, call, ends, module, park, poll};

const THROUGH: ImportInfo = ImportInfo::new::<Direct, i32>(
    "env",
    "through",
    false,
    &[ParamInfo::by_ref::<str>("text", "&str")],
    "i32",
    "",
);
static INFO: ImportInfo = THROUGH;

/// What a trampoline does beside calling on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Also {
    Nothing,
    /// Adds a page to the memory, before it calls on or after.
    GrowsBefore,
    GrowsAfter,
    /// Writes to the last bytes but the text, after it has called on.
    Writes,
    /// Panics when the guest comes through it for the so many-th time, before it calls on or after.
    PanicsBefore(usize),
    PanicsAfter(usize),
    /// Calls another function than the one that waits, when the guest is rewound.
    CallsAnother,
    /// Calls nothing then.
    CallsNothing,
}

struct Body {
    also: Also,
    /// The texts it was passed.
    texts: Mutex<Vec<String>>,
    /// The memory as its body finds it, before and after it has called on.
    seen: Mutex<Vec<Vec<u8>>>,
}

impl Body {
    fn run(&self, cx: &mut GuestCx<'_, ()>, text: String) -> i32 {
        self.seen.lock().unwrap().push(cx.memory().to_vec());
        let times = {
            let mut texts = self.texts.lock().unwrap();
            texts.push(text);
            texts.len()
        };
        assert!(self.also != Also::PanicsBefore(times), "a panic of the test");
        let name = match self.also {
            Also::CallsNothing if times > 1 => return 0,
            Also::CallsAnother if times > 1 => "another",
            _ => "inner",
        };
        if self.also == Also::GrowsBefore {
            cx.grow_memory(1).unwrap();
        }
        let answer = cx.call::<(), i32>(name, ());
        if self.also == Also::GrowsAfter {
            cx.grow_memory(1).unwrap();
        }
        if self.also == Also::Writes {
            let size = u32::try_from(cx.memory().len()).unwrap();
            cx.write(size - 200, &[7; 100]).unwrap();
        }
        self.seen.lock().unwrap().push(cx.memory().to_vec());
        assert!(self.also != Also::PanicsAfter(times), "a panic of the test");
        answer.unwrap_or(-1)
    }
}

/// `outer(x)` calls the trampoline, which calls `middle`, which calls it again for `inner`.
const FIELDS: &str = r#"
    (memory (export "memory") 1)
    (func (export "inner") (result i32) (local $answer i32)
      (if REWINDING (then (if (i32.ne (call $pop) (i32.const 77)) (then unreachable))))
      (local.set $answer (call $wait (i32.const 4)))
      (if UNWINDING (then (call $push (i32.const 77)) (return (i32.const 0))))
      (local.get $answer))
    (func (export "another") (result i32) (i32.const 3))
    (func (export "outer") (param $x i32) (result i32) (local $answer i32)
      (if REWINDING (then (local.set $x (call $pop))))
      (local.set $answer (call $through (i32.const 65530) (i32.const 6)))
      (if UNWINDING (then (call $push (local.get $x)) (return (i32.const 0))))
      (i32.add (local.get $answer) (local.get $x)))"#;

const TEXT: &[u8] = b"at end";

struct Rig {
    desk: Desk,
    guest: Guest,
    body: Arc<Body>,
}

fn rig(also: Also) -> Rig {
    let (engine, desk) = (Engine::default(), Desk::new());
    let import = r#"(import "env" "through" (func $through (param i32 i32) (result i32)))"#;
    let fields = format!("{WAIT} {import} {FIELDS}");
    let body = Body { also, texts: Mutex::default(), seen: Mutex::default() };
    let body = Arc::new(body);
    let mut imports = desk.imports(&engine);
    imports.trampoline::<(Ref<str>, ()), Direct, i32, _, _>(
        &INFO,
        &body,
        |body, cx, (text, ())| (body.run(cx, text), ((), ())),
    );
    let builder = Guest::builder(&module(&engine, &fields)).async_imports(imports);
    let guest = block_on(builder.trap_keeps_guest().instantiate()).unwrap();
    guest
        .try_with(|cx| {
            cx.memory_mut().fill(0x5a);
            cx.write(65530, TEXT).unwrap();
        })
        .unwrap();
    Rig { desk, guest, body }
}

impl Rig {
    fn memory(&self) -> Vec<u8> {
        self.guest.try_with(|cx| cx.memory().to_vec()).unwrap()
    }

    fn outer(&self) -> Call<(i32,)> {
        call(&self.guest, "outer", 7)
    }

    /// The memory as it is but for what the bodies did: grown pages are 0.
    fn is_the_guests(&self, memory: &[u8]) {
        let writes = self.body.also == Also::Writes;
        for (at, byte) in memory.iter().enumerate() {
            let expected = match at {
                65530..65536 => TEXT[at - 65530],
                65536.. => 0,
                _ if writes && (65336..65436).contains(&at) => continue,
                _ => 0x5a,
            };
            assert_eq!(*byte, expected, "{:?} {at:#x}", self.body.also);
        }
    }

    fn all_is_the_guests(&self) {
        self.is_the_guests(&self.memory());
        for seen in self.body.seen.lock().unwrap().iter() {
            self.is_the_guests(seen);
        }
        let texts = self.body.texts.lock().unwrap();
        assert!(texts.iter().all(|text| text.as_bytes() == TEXT), "{texts:?}");
    }
}

#[test]
fn bodies_see_the_guests_memory_in_each_state() {
    for also in [Also::Nothing, Also::GrowsBefore, Also::GrowsAfter, Also::Writes] {
        let rig = rig(also);
        for round in 1..4 {
            let mut outer = rig.outer();
            park(&mut outer);
            rig.all_is_the_guests();
            rig.desk.answer(4);
            assert_eq!(ends(&mut outer), (answer(4) + 7,), "{also:?}");
            rig.all_is_the_guests();
            assert_eq!(rig.body.texts.lock().unwrap().len(), 2 * round);
        }
    }
}

#[test]
fn a_panic_in_a_body_leaves_the_guests_memory() {
    for (also, parks) in [
        (Also::PanicsBefore(1), false),
        (Also::PanicsAfter(1), false),
        (Also::PanicsBefore(2), true),
        (Also::PanicsAfter(2), true),
    ] {
        let rig = rig(also);
        let mut outer = rig.outer();
        if parks {
            park(&mut outer);
            rig.desk.answer(4);
        }
        catch_unwind(AssertUnwindSafe(|| poll(&mut outer))).unwrap_err();
        rig.all_is_the_guests();
        assert!(block_on(rig.guest.is_poisoned()).unwrap());
    }
}

#[test]
fn a_body_that_does_not_call_on_again_is_told() {
    for also in [Also::CallsAnother, Also::CallsNothing] {
        let rig = rig(also);
        let mut outer = rig.outer();
        park(&mut outer);
        rig.desk.answer(4);
        let ended = block_on(&mut outer);
        match also {
            Also::CallsNothing => {
                assert!(matches!(&ended, Err(Error::StateOutOfStep { .. })), "{ended:?}");
            }
            // The body answers for its failure, as it may for any other.
            _ => assert_eq!(ended.unwrap(), (-1 + 7,)),
        }
        assert!(block_on(rig.guest.is_poisoned()).unwrap());
        rig.all_is_the_guests();
    }
}
