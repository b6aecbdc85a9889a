//! A guest says any length: the host allocates no more for it than its limits, whatever crosses and
//! in whichever direction.

#![allow(
    clippy::needless_pass_by_value,
    clippy::unused_async,
    clippy::unused_self,
    reason = "the host has every kind of function, and does nothing"
)]

use allocation_counter::measure;
use asyncify::testing::{Mock, Results};
use asyncify::wasmtime::Engine;
use asyncify::{
    Error, FromGuest, Guest, GuestCx, Lent, Limits, Module, OutBuf, Result, Slice, Trap,
};
use futures::FutureExt;
use futures::executor::block_on;

const MIB: u32 = 1 << 20;
/// What a guest claims to pass.
const CLAIMED: u32 = 1 << 30;
/// Room for errors and the like.
const LITTLE: u64 = 256 << 10;

/// Lines, each a pointer and a length, of which a guest passes a pointer and a count.
struct Lines(Vec<String>);

impl FromGuest for Lines {
    type Abi = Slice;
    fn from_guest<T: Send + 'static>(cx: &mut GuestCx<'_, T>, lines: Slice) -> Result<Self, Trap> {
        let mut read = Vec::new();
        for line in 0..lines.len {
            let at = cx.read(lines.ptr + 8 * line, 8)?;
            let number = |at: &[u8]| at.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
            let line = Slice { ptr: number(&at[..4]), len: number(&at[4..]) };
            read.push(String::from_guest(cx, line)?);
        }
        Ok(Self(read))
    }
}

struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    /// Waits for ever with what it is passed.
    async fn hold(&self, bytes: &[u8]) {
        std::future::pending::<()>().await;
        assert!(bytes.is_empty());
    }
    async fn text(&self, text: &str) -> u32 {
        u32::try_from(text.len()).unwrap()
    }
    async fn owned_text(&self, text: String) -> u32 {
        u32::try_from(text.len()).unwrap()
    }
    async fn owned_bytes(&self, bytes: Vec<u8>) -> u32 {
        u32::try_from(bytes.len()).unwrap()
    }
    fn text_now(&self, text: String) -> u32 {
        u32::try_from(text.len()).unwrap()
    }
    fn bytes_now(&self, bytes: Vec<u8>) -> u32 {
        u32::try_from(bytes.len()).unwrap()
    }
    fn lent_now(&self, bytes: &[u8]) -> u32 {
        u32::try_from(bytes.len()).unwrap()
    }
    fn with_guest<T: Send + 'static>(&self, _: &mut GuestCx<'_, T>, bytes: &[u8]) -> u32 {
        u32::try_from(bytes.len()).unwrap()
    }
    #[asyncify(trampoline)]
    fn through<T: Send + 'static>(&self, _: &mut GuestCx<'_, T>, bytes: &[u8]) -> u32 {
        u32::try_from(bytes.len()).unwrap()
    }
    fn two_now(&self, one: String, other: Vec<u8>) -> u32 {
        u32::try_from(one.len() + other.len()).unwrap()
    }
    fn lines_now(&self, lines: Lines) -> u32 {
        u32::try_from(lines.0.len()).unwrap()
    }
    async fn lines(&self, lines: Lines) -> u32 {
        u32::try_from(lines.0.len()).unwrap()
    }
    fn fill(&self, out: &mut OutBuf) -> u32 {
        out.put("filled").unwrap()
    }
}

fn mock(pages: u32, limits: Limits) -> Mock {
    let mock = Mock::builder().imports(Host).pages(pages).limits(limits).build();
    block_on(mock).unwrap()
}

/// The call's end, and the most that was allocated for it at once.
fn of<R: Results>(mock: &Mock, name: &str, args: impl Into<Vec<u32>>) -> (Result<R>, u64) {
    let args: Vec<_> = args.into().iter().map(|x| x.cast_signed().into()).collect();
    let mut ended = None;
    let counted = measure(|| {
        let call = mock.call::<Vec<asyncify::wasmtime::Val>, R>("env", name, args);
        ended = call.now_or_never();
    });
    (ended.expect("no import waits"), counted.bytes_max)
}

/// The limit that was reached, and where.
fn limit<R: std::fmt::Debug>(ended: Result<R>) -> (String, &'static str, u64) {
    match ended.unwrap_err() {
        Error::Limit { function, what, limit } => (function, what, limit),
        other => panic!("{other:?}"),
    }
}

const PASSED: &str = "bytes passed in one call";

#[test]
fn what_an_import_is_passed_is_limited_before_it_is_copied() {
    let mock = mock(CLAIMED / 65_536 + 1, Limits::default());
    let imports =
        ["text", "owned_text", "owned_bytes", "text_now", "bytes_now", "with_guest", "through"];
    for name in imports {
        let (ended, most) = of::<u32>(&mock, name, [16, CLAIMED]);
        assert_eq!(limit(ended), (format!("env.{name}"), PASSED, u64::from(64 * MIB)));
        assert!(most < LITTLE, "{name}: {most} bytes");
        // Each call has all of it again.
        for _ in 0..3 {
            assert_eq!(of::<u32>(&mock, name, [16, 30 * MIB]).0.unwrap(), 30 * MIB);
        }
    }
    // Nothing is copied for these.
    let (ended, most) = of::<u32>(&mock, "lent_now", [16, CLAIMED]);
    assert_eq!(ended.unwrap(), CLAIMED);
    let (filled, for_buffer) = of::<u32>(&mock, "fill", [16, CLAIMED]);
    assert_eq!(filled.unwrap(), 6);
    assert!(most < LITTLE && for_buffer < LITTLE, "{most} {for_buffer}");
    assert!(!block_on(mock.guest().is_poisoned()).unwrap());
}

#[test]
fn all_that_one_call_is_passed_is_limited_together() {
    let mock = mock(64, Limits::default().passed_bytes(MIB.into()));
    let half = MIB / 2;
    assert_eq!(of::<u32>(&mock, "two_now", [16, half, 16, half]).0.unwrap(), MIB);
    let (ended, _) = of::<u32>(&mock, "two_now", [16, half, 16, half + 1]);
    assert_eq!(limit(ended), ("env.two_now".to_owned(), PASSED, MIB.into()));
    // A thousand lines that are one text of 64 KiB.
    let line = [1024_u32.to_le_bytes(), (64_u32 << 10).to_le_bytes()].concat();
    let lines = mock.place(line.repeat(1_000)).unwrap();
    for name in ["lines_now", "lines"] {
        assert_eq!(of::<u32>(&mock, name, [lines.ptr, 16]).0.unwrap(), 16);
        let (ended, most) = of::<u32>(&mock, name, [lines.ptr, 1_000]);
        assert_eq!(limit(ended), (format!("env.{name}"), PASSED, MIB.into()));
        assert!(most < u64::from(MIB) + LITTLE, "{name}: {most} bytes");
    }
    // Whoever uses the guest between calls counts anew.
    for _ in 0..3 {
        let text = mock.guest().try_with(|cx| Vec::from_guest(cx, Slice { ptr: 16, len: MIB }));
        assert_eq!(text.unwrap().unwrap().len(), 1 << 20);
    }
}

#[test]
fn what_an_import_may_wait_with_is_limited_before_it_is_copied() {
    let limits = Limits::default().parked_bytes(MIB.into());
    let mock = mock(CLAIMED / 65_536 + 1, limits);
    let parked = "bytes of parked calls";
    for claimed in [CLAIMED, 40 * MIB, MIB + 1] {
        let (ended, most) = of::<()>(&mock, "hold", [16, claimed]);
        let told = limit(ended);
        assert_eq!(told.0, "env.hold");
        assert!(told.1 == PASSED || (told.1, told.2) == (parked, MIB.into()), "{told:?}");
        assert!(most < LITTLE, "{claimed}: {most} bytes");
    }
    // What is left of it counts.
    let half = Slice { ptr: 16, len: MIB / 2 };
    let mut first = mock.call::<_, ()>("env", "hold", half);
    block_on(async { assert!(futures::poll!(&mut first).is_pending()) });
    let (ended, most) = of::<()>(&mock, "hold", [16, MIB / 2 + 1]);
    assert_eq!(limit(ended), ("env.hold".to_owned(), parked, MIB.into()));
    assert!(most < LITTLE, "{most} bytes");
    drop(first);
    let mut second = mock.call::<_, ()>("env", "hold", Slice { ptr: 16, len: MIB / 2 + 1 });
    block_on(async { assert!(futures::poll!(&mut second).is_pending()) });
    assert!(!block_on(mock.guest().is_poisoned()).unwrap());
}

#[asyncify::exports]
trait Claims {
    fn text(&self, len: u32) -> String;
    fn bytes(&self, len: u32) -> Vec<u8>;
    fn lent(&self, len: u32) -> Lent<String>;
    async fn coded(&self, len: u32) -> Result<String, asyncify::Errno>;
    #[asyncify(result = "out")]
    fn stored(&self, len: u32) -> String;
}

#[test]
fn an_exports_result_is_limited_before_it_is_copied() {
    let guest = r#"(module (memory 16400)
        (func (export "malloc") (param i32) (result i32) i32.const 64)
        (func (export "free") (param i32))
        (func (export "text") (export "bytes") (export "lent") (export "coded")
          (param i32) (result i64)
          (i64.or (i64.const 1024) (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32))))
        (func (export "stored") (param i32 i32)
          (i32.store (local.get 1) (i32.const 1024))
          (i32.store offset=4 (local.get 1) (local.get 0))))"#;
    let module = Module::new(&Engine::default(), guest).unwrap();
    let guest = block_on(Guest::builder(&module).instantiate()).unwrap();
    let claims: ClaimsExports = guest.exports().unwrap();
    let told = |name: &str, ended: &dyn Fn(u32) -> Option<Error>| {
        for _ in 0..3 {
            assert!(ended(30 * MIB).is_none());
        }
        let mut error = None;
        let counted = measure(|| error = ended(CLAIMED));
        let error = Err::<(), _>(error.unwrap());
        assert_eq!(limit(error), (name.to_owned(), PASSED, u64::from(64 * MIB)));
        assert!(counted.bytes_max < LITTLE, "{name}: {} bytes", counted.bytes_max);
    };
    told("text", &|len| block_on(claims.text(len)).err());
    told("bytes", &|len| block_on(claims.bytes(len)).err());
    told("lent", &|len| block_on(claims.lent(len)).err());
    told("coded", &|len| block_on(claims.coded(len)).err());
    told("stored", &|len| block_on(claims.stored(len)).err());
}
