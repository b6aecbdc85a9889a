//! What a host passes to typed exports, and what a guest answers to them.

use std::fmt::Debug;
use std::sync::LazyLock;

use arbitrary::Unstructured;
use asyncify::wasmtime::Engine;
use asyncify::{Errno, Error, Guest, GuestCx, Lent, Module, Result};

use super::{Region, bytes, pattern, soon};
use crate::memory::bounded;

/// Answers with what it is told to, and allocates where it is told to.
const GUEST: &str = r#"(module
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 4096))
    ;; What `malloc` answers in place of an address that is free; 0 if nothing.
    (global $told (mut i64) (i64.const -1))
    (func (export "malloc") (param $size i32) (result i32)
        (if (i64.ge_s (global.get $told) (i64.const 0))
            (then (return (i32.wrap_i64 (global.get $told)))))
        (global.get $next)
        (global.set $next (i32.add (global.get $next)
            (i32.and (i32.add (local.get $size) (i32.const 15)) (i32.const -16)))))
    (func (export "free") (param i32))
    (func (export "tell") (param i64) (global.set $told (local.get 0)))
    (func $pack (param $ptr i32) (param $len i32) (result i64)
        (i64.or (i64.extend_i32_u (local.get $ptr))
            (i64.shl (i64.extend_i32_u (local.get $len)) (i64.const 32))))
    (export "text" (func $pack))
    (export "text_at_once" (func $pack))
    (export "bytes" (func $pack))
    (export "lent" (func $pack))
    (export "text_or_code" (func $pack))
    (func (export "stored") (param $ptr i32) (param $len i32) (param $at i32)
        (i32.store (local.get $at) (local.get $ptr))
        (i32.store offset=4 (local.get $at) (local.get $len)))
    (func $same (param i32) (result i32) (local.get 0))
    (export "as_u8" (func $same)) (export "as_i16" (func $same))
    (export "as_bool" (func $same)) (export "as_char" (func $same))
    (export "as_code" (func $same)) (export "as_status" (func $same))
    (func $sum (param $ptr i32) (param $len i32) (result i32) (local $sum i32)
        (loop $next
            (if (local.get $len) (then
                (local.set $len (i32.sub (local.get $len) (i32.const 1)))
                (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 31))
                    (i32.load8_u (i32.add (local.get $ptr) (local.get $len)))))
                (br $next))))
        (local.get $sum))
    (export "sum" (func $sum)) (export "sum_at_once" (func $sum)))"#;

const MEMORY: u32 = 64 << 10;
const HELD: usize = 1 << 20;

#[asyncify::exports]
trait App {
    fn tell(&self, pointer: i64);
    async fn text(&self, ptr: u32, len: u32) -> String;
    fn text_at_once(&self, ptr: u32, len: u32) -> String;
    async fn bytes(&self, ptr: u32, len: u32) -> Vec<u8>;
    fn lent(&self, ptr: u32, len: u32) -> Lent<Vec<u8>>;
    async fn text_or_code(&self, ptr: u32, len: u32) -> Result<String, Errno>;
    #[asyncify(result = "out")]
    async fn stored(&self, ptr: u32, len: u32) -> Vec<u8>;
    fn as_u8(&self, x: i32) -> u8;
    async fn as_i16(&self, x: i32) -> i16;
    fn as_bool(&self, x: i32) -> bool;
    async fn as_char(&self, x: i32) -> char;
    fn as_code(&self, x: i32) -> Result<u32, Errno>;
    async fn as_status(&self, x: i32) -> Result<(), Errno>;
    async fn sum(&self, bytes: &[u8]) -> u32;
    fn sum_at_once(&self, text: &str) -> u32;
}

#[derive(Debug)]
enum Op {
    Text {
        at: Region,
        now: bool,
    },
    Bytes {
        at: Region,
        lent: bool,
    },
    TextOrCode(Region),
    Stored(Region),
    Narrow {
        x: i32,
        small: bool,
    },
    Sum {
        len: u16,
        now: bool,
    },
    /// Places the next arguments there.
    Tell(Region),
    TellTruth,
}

choices!(Op: Text { at, now }, Bytes { at, lent }, TextOrCode(a), Stored(a), Narrow { x, small }, Sum { len, now }, Tell(a), TellTruth);

static MODULE: LazyLock<Module> =
    LazyLock::new(|| Module::new(&Engine::default(), GUEST).expect("a guest of ours"));

struct World {
    guest: Guest,
    app: AppExports,
    /// Where the guest says that there is room.
    told: Option<u32>,
}

pub(super) fn run(input: &mut Unstructured<'_>, between: u8) {
    let guest = soon(Guest::builder(&MODULE).instantiate()).expect("a guest");
    let mut world = World { app: guest.exports().expect("its exports"), guest, told: None };
    world.with(|cx| cx.memory_mut().copy_from_slice(&pattern(MEMORY as usize, between)));
    for op in crate::list(input, 24) {
        bounded(HELD, || world.step(&op));
        assert!(!soon(world.guest.is_poisoned()).expect("nobody holds the guest"));
    }
}

impl World {
    fn with<R>(&self, f: impl FnOnce(&mut GuestCx<'_, ()>) -> R) -> R {
        soon(self.guest.with(f)).expect("nobody holds the guest")
    }

    fn memory(&self) -> Vec<u8> {
        self.with(|cx| cx.memory().to_vec())
    }

    fn step(&mut self, op: &Op) {
        let app = &self.app;
        match *op {
            Op::Text { at, now } => {
                let (ptr, len) = at.slice(MEMORY);
                let answer =
                    if now { soon(app.text_at_once(ptr, len)) } else { soon(app.text(ptr, len)) };
                self.is_text((ptr, len), answer);
            }
            Op::Bytes { at, lent } => {
                let (ptr, len) = at.slice(MEMORY);
                let answer = if lent {
                    soon(app.lent(ptr, len)).map(|lent| lent.0)
                } else {
                    soon(app.bytes(ptr, len))
                };
                self.is_bytes((ptr, len), answer);
            }
            Op::TextOrCode(at) => {
                let (ptr, len) = at.slice(MEMORY);
                let packed = (u64::from(len) << 32 | u64::from(ptr)).cast_signed();
                match soon(app.text_or_code(ptr, len)) {
                    answer if packed >= 0 => self.is_text(
                        (ptr, len),
                        answer.map(|answer| answer.expect("a negative number is a code")),
                    ),
                    Ok(Err(code)) => {
                        assert_eq!(i64::from(code.number()), packed.checked_neg().expect("a code"));
                    }
                    // A code is an i32.
                    Err(Error::BadValue { .. }) => assert!(i32::try_from(packed).is_err()),
                    other => panic!("{packed:#x} is no text: {other:?}"),
                }
            }
            Op::Stored(at) => self.stored(at.slice(MEMORY)),
            Op::Narrow { x, small } => narrow(app, if small { x % 300 } else { x }),
            Op::Sum { len, now } => self.sum(len % 2048, now),
            Op::Tell(at) => {
                let (ptr, _) = at.slice(MEMORY);
                soon(app.tell(ptr.into())).expect("it takes any number");
                self.told = Some(ptr);
            }
            Op::TellTruth => {
                soon(app.tell(-1)).expect("it takes any number");
                self.told = None;
            }
        }
    }

    fn is_text(&self, at: (u32, u32), answer: Result<String>) {
        match (bytes(&self.memory(), at).map(std::str::from_utf8), answer) {
            (Some(Ok(text)), Ok(answer)) => assert_eq!(answer, text),
            (Some(Err(_)), Err(Error::NotUtf8 { .. })) | (None, Err(Error::BadPointer { .. })) => {}
            (model, answer) => panic!("{at:?} is {model:?}, not {answer:?}"),
        }
    }

    fn is_bytes(&self, at: (u32, u32), answer: Result<Vec<u8>>) {
        match (bytes(&self.memory(), at), answer) {
            (Some(bytes), Ok(answer)) => assert_eq!(answer, bytes),
            (None, Err(Error::BadPointer { .. })) => {}
            (model, answer) => {
                panic!("{at:?} is {:?} bytes, not {answer:?}", model.map(<[u8]>::len))
            }
        }
    }

    /// The pointer and the length are stored by the guest where the host has asked it for room.
    fn stored(&self, at: (u32, u32)) {
        let room = self.told.is_none_or(|told| told > 0 && told <= MEMORY - 8);
        if room {
            let before = self.memory();
            let answer = soon(self.app.stored(at.0, at.1));
            let after = self.memory();
            match (bytes(&after, at), answer) {
                (Some(bytes), Ok(answer)) => assert_eq!(answer, bytes),
                (None, Err(Error::BadPointer { .. })) => {}
                // It was stored over itself.
                (model, answer) => assert!(before == after, "{at:?}: {model:?}, {answer:?}"),
            }
        } else {
            let error = soon(self.app.stored(at.0, at.1)).expect_err("there is no room");
            refused(&error);
        }
    }

    fn sum(&self, len: u16, now: bool) {
        let sent = pattern(len.into(), b'.');
        let sent = String::from_utf8_lossy(&sent);
        let len = u32::try_from(sent.len()).expect("a short text");
        let answer = if now {
            soon(self.app.sum_at_once(&sent))
        } else {
            soon(self.app.sum(sent.as_bytes()))
        };
        let room = self.told.is_none_or(|told| told > 0 && told <= MEMORY - len.min(MEMORY));
        if room {
            let digits = sent.bytes().rev();
            let sum =
                digits.fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
            assert_eq!(answer.expect("there is room"), sum);
        } else if len > 0 {
            refused(&answer.expect_err("there is no room"));
        }
    }
}

fn narrow(app: &AppExports, x: i32) {
    same(u8::try_from(x).ok(), soon(app.as_u8(x)));
    same(i16::try_from(x).ok(), soon(app.as_i16(x)));
    same([false, true].get(x as usize).copied(), soon(app.as_bool(x)));
    same(char::from_u32(x.cast_unsigned()), soon(app.as_char(x)));
    let code = soon(app.as_code(x)).expect("a value or a code");
    let number = |errno: Errno| i64::from(errno.number());
    // There is no positive number for the least one.
    let expected = i64::from(x).abs().min(i32::MAX.into());
    assert_eq!(
        code.map_or_else(|code| (true, number(code)), |value| (false, value.into())),
        (x < 0, expected)
    );
    let status = soon(app.as_status(x)).expect("a code or none");
    assert_eq!(status.map_err(number).err().unwrap_or(0), expected);
}

/// The value, or `BadValue` where it has none.
fn same<V: PartialEq + Debug>(model: Option<V>, answer: Result<V>) {
    match (model, answer) {
        (Some(model), Ok(answer)) => assert_eq!(answer, model),
        (None, Err(Error::BadValue { .. })) => {}
        (model, answer) => panic!("{model:?}, not {answer:?}"),
    }
}

fn refused(error: &Error) {
    assert!(matches!(error, Error::NoRoom { .. } | Error::BadPointer { .. }), "{error:?}");
}
