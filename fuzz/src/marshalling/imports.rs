//! What a guest passes to typed imports, and what they answer.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use arbitrary::Unstructured;
use asyncify::testing::{GuestValues, Mock, Results};
use asyncify::{Errno, Error, OutBuf, Result, Slice};

use super::{Region, bytes, pattern, soon};
use crate::memory::bounded;

/// The addresses below are the mock's own.
const FIRST: u32 = 1024;
/// What a call may hold on the host: the arguments' copies, each as long as the memory at most.
const HELD: usize = 2 << 20;

#[derive(Default)]
struct Host {
    waits: AtomicBool,
    seen: Mutex<Vec<String>>,
}

impl Host {
    fn saw(&self, what: impl std::fmt::Debug) {
        self.seen.lock().expect("nothing panics under the lock").push(format!("{what:?}"));
    }

    async fn pause(&self) {
        let mut waits = self.waits.load(Ordering::Relaxed);
        std::future::poll_fn(|_| {
            if std::mem::take(&mut waits) {
                std::task::Poll::Pending
            } else {
                std::task::Poll::Ready(())
            }
        })
        .await;
    }
}

/// How much an import writes: more than there is room for, now and then.
fn written(n: u16) -> Vec<u8> {
    pattern(n.into(), b'.')
}

fn text(n: u16) -> String {
    "ö".repeat(n.into())
}

#[asyncify::imports(module = "env")]
impl Host {
    async fn numbers(&self, a: u8, b: i8, c: u16, d: i16, e: bool, f: char) {
        self.pause().await;
        self.saw((a, b, c, d, e, f));
    }

    fn numbers_now(&self, a: u8, b: i8, c: u16, d: i16, e: bool, f: char) {
        self.saw((a, b, c, d, e, f));
    }

    async fn texts(&self, a: &str, b: &[u8], c: String, d: Vec<u8>) -> u32 {
        self.pause().await;
        self.saw((a, b, c, d));
        7
    }

    fn texts_now(&self, a: &str, b: &[u8], c: String, d: Vec<u8>) -> u32 {
        self.saw((a, b, c, d));
        7
    }

    async fn fill(&self, n: u16, out: &mut OutBuf) -> u32 {
        self.pause().await;
        out.push(&written(n)).try_into().unwrap_or(u32::MAX)
    }

    fn fill_now(&self, n: u16, out: &mut OutBuf) -> u32 {
        out.push(&written(n)).try_into().unwrap_or(u32::MAX)
    }

    async fn packed(&self, n: u16) -> Result<String, Errno> {
        self.pause().await;
        if n % 16 == 1 { Err(Errno::INVAL) } else { Ok(text(n)) }
    }

    #[asyncify(result = "out")]
    async fn stored(&self, n: u16) -> Result<String, Errno> {
        self.pause().await;
        if n % 16 == 1 { Err(Errno::INVAL) } else { Ok(text(n)) }
    }

    async fn code(&self, x: i64, is_code: u32) -> Result<i64, Errno> {
        self.pause().await;
        let code = Errno::new(x as i32).unwrap_or(Errno::IO);
        if is_code == 0 { Ok(x) } else { Err(code) }
    }
}

#[derive(Debug)]
enum Op {
    Numbers {
        a: i32,
        b: i32,
        c: i32,
        d: i32,
        e: i32,
        f: i32,
        now: bool,
    },
    /// The same, but for the value that one of them has.
    Likely {
        a: u8,
        b: i8,
        c: u16,
        d: i16,
        e: bool,
        f: char,
        now: bool,
    },
    Texts {
        a: Region,
        b: Region,
        c: Region,
        d: Region,
        now: bool,
    },
    Fill {
        n: u16,
        out: Region,
        now: bool,
    },
    Packed {
        n: u8,
    },
    Stored {
        n: u8,
        at: Region,
    },
    Code {
        x: i64,
        is_code: bool,
    },
}

choices!(Op: Numbers { a, b, c, d, e, f, now }, Likely { a, b, c, d, e, f, now }, Texts { a, b, c, d, now }, Fill { n, out, now }, Packed { n }, Stored { n, at }, Code { x, is_code });

struct Desk {
    host: Arc<Host>,
    mock: Mock,
}

impl Desk {
    fn new() -> Self {
        let host = Arc::new(Host::default());
        let mock = soon(Mock::builder().shared_imports(Arc::clone(&host)).pages(1).build());
        Self { host, mock: mock.expect("a mock") }
    }

    fn call<A: GuestValues, R: Results>(&self, name: &str, args: A) -> Result<R> {
        bounded(HELD, || soon(self.mock.call("env", name, args)))
    }

    /// What was seen since this was asked last.
    fn seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.host.seen.lock().expect("nothing panics under the lock"))
    }

    fn memory(&self) -> Vec<u8> {
        self.mock.read(0, self.mock.memory_size()).expect("all of it")
    }
}

thread_local! {
    /// Made once, because that takes a compiler. Its memory is written anew for each input.
    static DESK: RefCell<Desk> = RefCell::new(Desk::new());
}

pub(super) fn run(input: &mut Unstructured<'_>, between: u8) {
    DESK.with_borrow_mut(|desk| {
        let size = desk.mock.memory_size();
        let whole = pattern((size - FIRST) as usize, between);
        desk.mock.write(FIRST, whole).expect("it fits");
        for (waits, op) in crate::list::<(bool, Op)>(input, 16) {
            desk.host.waits.store(waits, Ordering::Relaxed);
            if step(desk, &op).is_none() {
                // Its memory is used up: nothing is freed there.
                *desk = Desk::new();
                return;
            }
            let stats = soon(desk.mock.guest().stats()).expect("nobody holds the guest");
            assert_eq!((stats.parked_calls, stats.parked_bytes), (0, 0));
        }
    });
}

/// Nothing, if there is no room left.
fn step(desk: &Desk, op: &Op) -> Option<()> {
    let memory = desk.memory();
    let size = desk.mock.memory_size();
    match *op {
        Op::Numbers { a, b, c, d, e, f, now } => numbers(desk, (a, b, c, d, e, f), now),
        Op::Likely { a, b, c, d, e, f, now } => {
            let args = (a.into(), b.into(), c.into(), d.into(), e.into(), f as i32);
            numbers(desk, args, now);
        }
        Op::Texts { a, b, c, d, now } => {
            texts(desk, &memory, [a, b, c, d].map(|region| region.slice(size)), now);
        }
        Op::Fill { n, out, now } => fill(desk, &memory, n, out.slice(size), now),
        Op::Packed { n } => {
            let answer = desk.call::<_, Slice>("packed", u32::from(n));
            // A code stands in the place of the packed slice.
            let answer = match answer {
                Err(Error::NoRoom { .. }) => return None,
                answer => answer.expect("there is room"),
            };
            if n % 16 == 1 {
                let packed = u64::from(answer.len) << 32 | u64::from(answer.ptr);
                assert_eq!(packed.cast_signed(), i64::from(-Errno::INVAL.number()));
            } else {
                assert_eq!(desk.mock.text(answer).expect("a text"), text(n.into()));
            }
        }
        Op::Stored { n, at } => return stored(desk, &memory, n, at.slice(size).0),
        Op::Code { x, is_code } => {
            let answer = desk.call::<_, i64>("code", (x, u32::from(is_code)));
            if is_code {
                let code = Errno::new(x as i32).unwrap_or(Errno::IO);
                assert_eq!(answer.expect("a code"), i64::from(-code.number()));
            } else if x < 0 {
                named(&answer.expect_err("it reads as a code"), "env.code", "error code");
            } else {
                assert_eq!(answer.expect("a value"), x);
            }
        }
    }
    Some(())
}

fn numbers(desk: &Desk, args: (i32, i32, i32, i32, i32, i32), now: bool) {
    let (a, b, c, d, e, f) = args;
    let model = || {
        Some((
            u8::try_from(a).ok()?,
            i8::try_from(b).ok()?,
            u16::try_from(c).ok()?,
            i16::try_from(d).ok()?,
            [false, true].get(usize::try_from(e).ok()?).copied()?,
            char::from_u32(f.cast_unsigned())?,
        ))
    };
    let name = if now { "numbers_now" } else { "numbers" };
    let answer = desk.call::<_, ()>(name, args);
    match model() {
        Some(values) => {
            answer.expect("all of them fit");
            assert_eq!(desk.seen(), [format!("{values:?}")]);
        }
        None => {
            assert!(matches!(answer, Err(Error::BadValue { .. })), "{answer:?}");
            assert_eq!(desk.seen(), [""; 0], "the import did not run");
        }
    }
}

fn texts(desk: &Desk, memory: &[u8], regions: [(u32, u32); 4], now: bool) {
    let [a, b, c, d] = regions;
    let name = if now { "texts_now" } else { "texts" };
    let args = (a.0, a.1, b.0, b.1, c.0, c.1, d.0, d.1);
    let answer = desk.call::<_, u32>(name, args);
    let found = regions.map(|region| bytes(memory, region));
    let text = |at: usize| found[at].map(std::str::from_utf8);
    let is_text = |at| matches!(text(at), Some(Ok(_)));
    if let [Some(_), Some(b), Some(_), Some(d)] = found
        && let (Some(Ok(a)), Some(Ok(c))) = (text(0), text(2))
    {
        assert_eq!(answer.expect("all of them are right"), 7);
        assert_eq!(desk.seen(), [format!("{:?}", (a, b, c, d))]);
        return;
    }
    assert_eq!(desk.seen(), [""; 0], "the import did not run");
    let wrong = ["a", "b", "c", "d"].into_iter().enumerate();
    let wrong: Vec<_> = wrong
        .filter(|(at, _)| found[*at].is_none() || at % 2 == 0 && !is_text(*at))
        .map(|(_, name)| name.to_owned())
        .collect();
    match answer {
        Err(Error::BadPointer { parameter, ptr, len, .. }) => {
            assert!(wrong.contains(&parameter), "{parameter} of {wrong:?}");
            let region = (u32::try_from(ptr), u32::try_from(len));
            let region = (region.0.expect("an i32"), region.1.expect("an i32"));
            assert!(regions.contains(&region) && bytes(memory, region).is_none(), "{region:?}");
        }
        Err(Error::NotUtf8 { parameter, .. }) => {
            assert!(wrong.contains(&parameter), "{parameter} of {wrong:?}");
        }
        other => panic!("{wrong:?} are wrong, and it says {other:?}"),
    }
}

fn fill(desk: &Desk, memory: &[u8], n: u16, out: (u32, u32), now: bool) {
    let name = if now { "fill_now" } else { "fill" };
    // The mock's own bytes are not to be written over: it would be another guest afterwards.
    if out.0 < FIRST && out.1 > 0 && bytes(memory, out).is_some() {
        return;
    }
    let answer = desk.call::<_, u32>(name, (u32::from(n), out.0, out.1));
    let mut expected = memory.to_vec();
    if bytes(memory, out).is_some() {
        let all = written(n);
        let fits = &all[..all.len().min(out.1 as usize)];
        assert_eq!(answer.expect("it is in the memory") as usize, fits.len());
        expected[out.0 as usize..][..fits.len()].copy_from_slice(fits);
    } else {
        assert!(matches!(answer, Err(Error::BadPointer { .. })), "{answer:?}");
    }
    same_behind_the_first(&desk.memory(), &expected);
}

fn stored(desk: &Desk, memory: &[u8], n: u8, at: u32) -> Option<()> {
    let fits = bytes(memory, (at, 8)).is_some();
    if at < FIRST && fits {
        return Some(());
    }
    match desk.call::<_, i32>("stored", (u32::from(n), at)) {
        Err(Error::NoRoom { .. }) => return None,
        Ok(code) if n % 16 == 1 => assert_eq!(code, -Errno::INVAL.number()),
        Ok(code) => {
            assert!(fits, "it was stored outside the memory");
            let slice = desk.mock.read_slice(at).expect("it is in the memory");
            // What is placed may lie where the slice was stored: the pointer was ours to choose.
            if slice.ptr.abs_diff(at) >= 8 + 2 * u32::from(n) {
                assert_eq!((code, desk.mock.text(slice).expect("a text")), (0, text(n.into())));
            }
        }
        Err(Error::BadPointer { .. }) if !fits => {}
        Err(other) => panic!("{other:?}"),
    }
    Some(())
}

/// Where the mock keeps things of its own may differ.
fn same_behind_the_first(found: &[u8], expected: &[u8]) {
    let first = FIRST as usize;
    assert!(found[first..] == expected[first..], "something else in the memory has changed");
}

fn named(error: &Error, function: &str, says: &str) {
    let text = error.to_string();
    assert!(text.contains(function) && text.contains(says), "{text}");
}
