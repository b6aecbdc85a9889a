//! Every type that crosses, in both directions, at once and across a suspension, with what a
//! guest can do wrong. The guest is `examples/guests/marshal.wasm`.

use std::io::Write;
use std::sync::OnceLock;

use asyncify::wasmtime::Engine;
use asyncify::{Errno, Error, Guest, GuestCx, Lent, Module, OutBuf, Trap};
use futures::executor::block_on;

/// Answers at once, or after a suspension.
struct Host {
    suspends: bool,
}

impl Host {
    async fn pause(&self) {
        if self.suspends {
            let mut asked = false;
            std::future::poll_fn(|cx| {
                if std::mem::replace(&mut asked, true) {
                    return std::task::Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                std::task::Poll::Pending
            })
            .await;
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the host has had enough of {0}")]
struct HadEnough(u32);

#[asyncify::imports(module = "env")]
impl Host {
    async fn echo_u8(&self, x: u8) -> u8 {
        self.pause().await;
        x
    }
    async fn echo_i8(&self, x: i8) -> i8 {
        self.pause().await;
        x
    }
    async fn echo_u16(&self, x: u16) -> u16 {
        self.pause().await;
        x
    }
    async fn echo_i16(&self, x: i16) -> i16 {
        self.pause().await;
        x
    }
    async fn echo_u32(&self, x: u32) -> u32 {
        self.pause().await;
        x
    }
    async fn echo_i32(&self, x: i32) -> i32 {
        self.pause().await;
        x
    }
    async fn echo_u64(&self, x: u64) -> u64 {
        self.pause().await;
        x
    }
    async fn echo_i64(&self, x: i64) -> i64 {
        self.pause().await;
        x
    }
    async fn echo_f32(&self, x: f32) -> f32 {
        self.pause().await;
        x
    }
    async fn echo_f64(&self, x: f64) -> f64 {
        self.pause().await;
        x
    }
    async fn echo_bool(&self, x: bool) -> bool {
        self.pause().await;
        x
    }
    async fn echo_char(&self, x: char) -> char {
        self.pause().await;
        x
    }
    async fn take_str(&self, text: &str) -> u32 {
        self.pause().await;
        u32::try_from(text.chars().count()).unwrap_or(u32::MAX)
    }
    async fn take_bytes(&self, bytes: Vec<u8>) -> u32 {
        self.pause().await;
        bytes.iter().map(|byte| u32::from(*byte)).sum()
    }
    async fn fill(&self, out: &mut OutBuf) -> Result<u32, Errno> {
        self.pause().await;
        write!(out, "{} bytes fit", out.capacity())?;
        Ok(u32::try_from(out.written().len()).unwrap_or(u32::MAX))
    }
    async fn mixed(
        &self,
        a: u32,
        text: String,
        b: i64,
        c: f64,
        out: &mut OutBuf,
    ) -> Result<u32, Errno> {
        self.pause().await;
        write!(out, "{a} {text} {b} {c}")?;
        Ok(u32::try_from(out.written().len()).unwrap_or(u32::MAX))
    }
    async fn make_string(&self, n: u32) -> String {
        self.pause().await;
        "ö".repeat(n as usize)
    }
    #[asyncify(result = "out")]
    async fn make_string_out(&self, n: u32) -> Vec<u8> {
        self.pause().await;
        vec![7; n as usize]
    }
    #[asyncify(result = "out")]
    async fn make_string_or(&self, n: u32) -> Result<String, Errno> {
        self.pause().await;
        if n > 100 { Err(Errno::RANGE) } else { Ok("o".repeat(n as usize)) }
    }
    async fn fallible(&self, x: u32) -> Result<u32, Trap> {
        self.pause().await;
        if x == 13 { Err(HadEnough(x).into()) } else { Ok(x + 1) }
    }
}

#[asyncify::exports]
trait Guested {
    async fn call_echo_u8(&self, x: i32) -> i32;
    async fn call_echo_i8(&self, x: i32) -> i32;
    async fn call_echo_u16(&self, x: i32) -> i32;
    async fn call_echo_i16(&self, x: i32) -> i32;
    async fn call_echo_u32(&self, x: u32) -> u32;
    async fn call_echo_i32(&self, x: i32) -> i32;
    async fn call_echo_u64(&self, x: u64) -> u64;
    async fn call_echo_i64(&self, x: i64) -> i64;
    async fn call_echo_f32(&self, x: f32) -> f32;
    async fn call_echo_f64(&self, x: f64) -> f64;
    async fn call_echo_bool(&self, x: i32) -> i32;
    async fn call_echo_char(&self, x: u32) -> u32;

    async fn call_take_str(&self, ptr: u32, len: u32) -> u32;
    async fn call_take_bytes(&self, ptr: u32, len: u32) -> u32;
    async fn call_fill(&self, ptr: u32, cap: u32) -> i32;
    async fn call_make_string_out(&self, n: u32, out: u32);
    async fn call_fallible(&self, x: u32) -> u32;

    async fn send_text(&self) -> u32;
    async fn send_bad_text(&self) -> u32;
    async fn fill_stack(&self, cap: u32) -> u32;
    async fn call_mixed(&self) -> u32;
    async fn digest_made(&self, n: u32) -> u32;
    async fn digest_made_out(&self, n: u32) -> u32;
    async fn digest_made_or(&self, n: u32) -> i32;

    fn greet(&self, name: &str) -> String;
    #[asyncify(result = "out")]
    fn greet_out(&self, name: &str) -> String;
    #[asyncify(result = "out")]
    fn greet_or(&self, name: String) -> Result<String, Errno>;
    async fn greet_after(&self, name: &str) -> String;
    #[asyncify(result = "out")]
    async fn greet_out_after(&self, name: &str) -> String;
    async fn bad_text(&self) -> String;
    async fn twice(&self, bytes: &[u8]) -> Vec<u8>;
    async fn sum_bytes(&self, bytes: Vec<u8>) -> u32;
    async fn parse(&self, text: &str) -> Result<u32, Errno>;

    fn live_allocations(&self) -> u32;
    fn limit_malloc(&self, bytes: u32);
}

#[asyncify::exports]
trait Lending {
    fn bad_text(&self) -> Lent<Vec<u8>>;
}

struct Run {
    app: GuestedExports,
    guest: Guest,
    base: u32,
}

/// The guest's module, compiled once.
fn module() -> Module {
    static MODULE: OnceLock<Module> = OnceLock::new();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/guests/marshal.wasm");
    MODULE.get_or_init(|| Module::from_file(&Engine::default(), path).unwrap()).clone()
}

/// Runs `test` with imports that answer at once, and with ones that suspend.
fn both(test: impl AsyncFn(&Run)) {
    for suspends in [false, true] {
        block_on(async {
            let host = Host { suspends };
            let guest = Guest::builder(&module()).imports(host).instantiate().await.unwrap();
            let app: GuestedExports = guest.exports().unwrap();
            // The window is the guest's own allocation; it is there from the first suspension on.
            app.call_echo_u32(1).await.unwrap();
            let base = app.live_allocations().await.unwrap();
            test(&Run { app, guest, base }).await;
        });
    }
}

/// FNV-1a, as the guest digests.
fn digest(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(2_166_136_261, |so_far, byte| (so_far ^ u32::from(*byte)).wrapping_mul(16_777_619))
}

impl Run {
    async fn leaks_nothing(&self) {
        assert_eq!(self.app.live_allocations().await.unwrap(), self.base);
        assert!(!self.guest.is_poisoned().await.unwrap());
    }
}

/// What a value out of its type's range is told with.
fn assert_bad_value<R: std::fmt::Debug>(result: Result<R, Error>, import: &str, says: &str) {
    match result {
        Err(error @ Error::BadValue { .. }) => {
            let text = error.to_string();
            assert!(text.contains(import) && text.contains("`x`") && text.contains(says), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn integers_keep_every_value_of_their_type() {
    both(async |run| {
        let app = &run.app;
        for x in [0, 1, 127, 128, 255] {
            assert_eq!(app.call_echo_u8(x).await.unwrap(), x);
        }
        for x in [-128, -1, 0, 127] {
            assert_eq!(app.call_echo_i8(x).await.unwrap(), x);
        }
        for x in [0, 65_535] {
            assert_eq!(app.call_echo_u16(x).await.unwrap(), x);
        }
        for x in [-32_768, -1, 32_767] {
            assert_eq!(app.call_echo_i16(x).await.unwrap(), x);
        }
        for x in [0, 1 << 31, u32::MAX] {
            assert_eq!(app.call_echo_u32(x).await.unwrap(), x);
        }
        for x in [i32::MIN, -1, i32::MAX] {
            assert_eq!(app.call_echo_i32(x).await.unwrap(), x);
        }
        for x in [0, 1 << 63, u64::MAX] {
            assert_eq!(app.call_echo_u64(x).await.unwrap(), x);
        }
        for x in [i64::MIN, -1, i64::MAX] {
            assert_eq!(app.call_echo_i64(x).await.unwrap(), x);
        }
    });
}

#[test]
fn floats_keep_their_bits() {
    both(async |run| {
        for x in [0.0, -0.0, 1.5, f32::MIN_POSITIVE, f32::INFINITY] {
            assert_eq!(run.app.call_echo_f32(x).await.unwrap().to_bits(), x.to_bits());
        }
        assert!(run.app.call_echo_f32(f32::NAN).await.unwrap().is_nan());
        for x in [0.0, -0.0, 1.0 / 3.0, f64::MAX, f64::NEG_INFINITY] {
            assert_eq!(run.app.call_echo_f64(x).await.unwrap().to_bits(), x.to_bits());
        }
    });
}

#[test]
fn values_outside_a_narrow_type_are_told_and_leave_the_guest_usable() {
    both(async |run| {
        let app = &run.app;
        assert_bad_value(app.call_echo_u8(256).await, "env.echo_u8", "256 is not a `u8`");
        assert_bad_value(app.call_echo_u8(-1).await, "env.echo_u8", "is not a `u8`");
        assert_bad_value(app.call_echo_i8(128).await, "env.echo_i8", "128 is not a `i8`");
        assert_bad_value(app.call_echo_u16(65_536).await, "env.echo_u16", "65536 is not a `u16`");
        assert_bad_value(app.call_echo_i16(-32_769).await, "env.echo_i16", "is not a `i16`");
        assert_bad_value(app.call_echo_bool(2).await, "env.echo_bool", "2 is not a `bool`");
        // The gap that UTF-16 leaves, and the first number behind the last character.
        assert_bad_value(app.call_echo_char(0xd800).await, "env.echo_char", "is not a `char`");
        assert_bad_value(app.call_echo_char(0x11_0000).await, "env.echo_char", "is not a `char`");
        for x in ['a', 'ß', '世', char::MAX] {
            assert_eq!(app.call_echo_char(x.into()).await.unwrap(), u32::from(x));
        }
        for x in [0, 1] {
            assert_eq!(app.call_echo_bool(x).await.unwrap(), x);
        }
        run.leaks_nothing().await;
    });
}

#[test]
fn text_and_bytes_come_from_the_guest() {
    both(async |run| {
        assert_eq!(run.app.send_text().await.unwrap(), 13);
        let ptr = run.guest.with(|cx| cx.place(&[1, 2, 250])).await.unwrap().unwrap().ptr;
        assert_eq!(run.app.call_take_bytes(ptr, 3).await.unwrap(), 253);
        assert_eq!(run.app.call_take_bytes(ptr, 0).await.unwrap(), 0);
    });
}

#[test]
fn text_that_is_not_utf8_is_told() {
    both(async |run| {
        let error = run.app.send_bad_text().await.unwrap_err();
        let Error::NotUtf8 { function, parameter, source } = &error else { panic!("{error}") };
        assert_eq!((&**function, &**parameter), ("env.take_str", "text"));
        assert_eq!(source.valid_up_to(), 2);
        assert_eq!(run.app.send_text().await.unwrap(), 13);
    });
}

#[test]
fn pointers_outside_the_memory_are_told_with_all_figures() {
    both(async |run| {
        let size = run.guest.with(|cx| cx.memory().len() as u64).await.unwrap();
        let end = u32::try_from(size).unwrap();
        for (at, length) in [(end, 1), (end - 4, 5), (u32::MAX, u32::MAX), (8, u32::MAX)] {
            let error = run.app.call_take_str(at, length).await.unwrap_err();
            let Error::BadPointer { function, parameter, ptr, len, memory_size } = &error else {
                panic!("{error}")
            };
            assert_eq!((&**function, &**parameter), ("env.take_str", "text"));
            assert_eq!((*ptr, *len, *memory_size), (at.into(), length.into(), size));
            let error = run.app.call_fill(at, length).await.unwrap_err();
            assert!(
                matches!(&error, Error::BadPointer { parameter, .. } if parameter == "out"),
                "{error}"
            );
        }
        // The very end is no error.
        assert_eq!(run.app.call_take_str(end, 0).await.unwrap(), 0);
        run.leaks_nothing().await;
    });
}

#[test]
fn a_buffer_gets_what_was_written_and_nothing_else() {
    both(async |run| {
        assert_eq!(run.app.fill_stack(64).await.unwrap(), digest(b"64 bytes fit"));
        assert_eq!(run.app.fill_stack(12).await.unwrap(), digest(b"12 bytes fit"));
        // It did not fit: the guest sees the code.
        assert_eq!(run.app.fill_stack(5).await.unwrap().cast_signed(), -90);
        assert_eq!(run.app.call_mixed().await.unwrap(), digest(b"7 mixed -8 0.5"));
    });
}

#[test]
fn strings_are_made_in_the_guest_and_are_its_own() {
    both(async |run| {
        for n in [0, 1, 1_000] {
            let text = "ö".repeat(n as usize);
            assert_eq!(run.app.digest_made(n).await.unwrap(), digest(text.as_bytes()));
            assert_eq!(run.app.digest_made_out(n).await.unwrap(), digest(&vec![7; n as usize]));
        }
        assert_eq!(run.app.digest_made_or(3).await.unwrap().cast_unsigned(), digest(b"ooo"));
        assert_eq!(run.app.digest_made_or(101).await.unwrap(), -34);
        run.leaks_nothing().await;
    });
}

#[test]
fn an_out_pointer_outside_the_memory_is_told() {
    both(async |run| {
        let error = run.app.call_make_string_out(3, u32::MAX - 3).await.unwrap_err();
        let Error::BadPointer { function, parameter, len, .. } = &error else { panic!("{error}") };
        assert_eq!((&**function, &**parameter, *len), ("env.make_string_out", "result", 8));
    });
}

#[test]
fn a_host_error_ends_the_call_and_is_found_again() {
    both(async |run| {
        assert_eq!(run.app.call_fallible(1).await.unwrap(), 2);
        let error = run.app.call_fallible(13).await.unwrap_err();
        assert!(matches!(&error, Error::Host { function, .. } if function == "call_fallible"));
        assert_eq!(error.downcast_ref::<HadEnough>().unwrap().0, 13);
        assert_eq!(run.app.call_fallible(1).await.unwrap(), 2);
        run.leaks_nothing().await;
    });
}

#[test]
fn exports_take_and_return_text_and_bytes_and_leak_nothing() {
    both(async |run| {
        let app = &run.app;
        assert_eq!(app.greet("world").await.unwrap(), "Hello, world!");
        assert_eq!(app.greet("").await.unwrap(), "Hello, !");
        assert_eq!(app.greet_out("世界").await.unwrap(), "Hello, 世界!");
        assert_eq!(app.greet_or("you".to_owned()).await.unwrap().unwrap(), "Hello, you!");
        let long = app.greet_or("y".repeat(33)).await.unwrap();
        assert_eq!(long.unwrap_err(), Errno::RANGE);
        assert_eq!(app.greet_after("later").await.unwrap(), "Hello, later!");
        assert_eq!(app.greet_out_after("later").await.unwrap(), "Hello, later!");
        assert_eq!(app.twice(&[1, 2]).await.unwrap(), [1, 2, 1, 2]);
        assert_eq!(app.sum_bytes(vec![255; 4]).await.unwrap(), 1_020);
        assert_eq!(app.parse("1234").await.unwrap().unwrap(), 1_234);
        assert_eq!(app.parse("12x4").await.unwrap().unwrap_err(), Errno::INVAL);
        assert_eq!(app.parse("9999999999").await.unwrap().unwrap_err(), Errno::RANGE);
        run.leaks_nothing().await;
    });
}

#[test]
fn an_exports_bad_text_is_told_and_freed() {
    both(async |run| {
        let error = run.app.bad_text().await.unwrap_err();
        assert!(
            matches!(&error, Error::NotUtf8 { function, parameter, .. }
                if function == "bad_text" && parameter == "result"),
            "{error}"
        );
        run.leaks_nothing().await;
        // What is only lent is not freed.
        let lending: LendingExports = run.guest.exports().unwrap();
        assert_eq!(lending.bad_text().await.unwrap(), Lent(vec![0xff]));
        assert_eq!(run.app.live_allocations().await.unwrap(), run.base + 1);
    });
}

#[test]
fn a_guest_without_room_is_told() {
    both(async |run| {
        run.app.limit_malloc(64).await.unwrap();
        let error = run.app.sum_bytes(vec![0; 65]).await.unwrap_err();
        assert!(matches!(&error, Error::NoRoom { size: 65, .. }), "{error}");
        let error = run.app.digest_made(100).await.unwrap_err();
        assert!(matches!(&error, Error::NoRoom { size: 200, .. }), "{error}");
        run.leaks_nothing().await;
    });
}

#[test]
fn arguments_are_freed_when_a_call_is_dropped() {
    block_on(async {
        let guest = Guest::builder(&module()).imports(Host { suspends: true });
        let guest = guest.instantiate().await.unwrap();
        let app: GuestedExports = guest.exports().unwrap();
        app.call_echo_u32(1).await.unwrap();
        let base = app.live_allocations().await.unwrap();
        let mut call = app.greet_after("nobody");
        assert!(futures::poll!(&mut call).is_pending());
        assert_eq!(app.live_allocations().await.unwrap(), base + 1);
        drop(call);
        assert_eq!(app.live_allocations().await.unwrap(), base);
    });
}

/// The same imports, plain: text and bytes are lent from the guest's memory.
struct Plain;

#[asyncify::imports(module = "env")]
impl Plain {
    fn echo_u8(x: u8) -> u8 {
        x
    }
    fn take_str(&self, text: &str) -> u32 {
        u32::try_from(text.chars().count()).unwrap_or(u32::MAX)
    }
    fn take_bytes(&self, bytes: &[u8]) -> u32 {
        bytes.iter().map(|byte| u32::from(*byte)).sum()
    }
    fn fill(&self, out: &mut OutBuf) -> Result<u32, Errno> {
        write!(out, "{} bytes fit", out.capacity())?;
        Ok(u32::try_from(out.written().len()).unwrap_or(u32::MAX))
    }
    fn mixed(&self, a: u32, text: &str, b: i64, c: f64, out: &mut OutBuf) -> Result<u32, Errno> {
        write!(out, "{a} {text} {b} {c}")?;
        Ok(u32::try_from(out.written().len()).unwrap_or(u32::MAX))
    }
    fn make_string(&self, n: u32) -> String {
        "ö".repeat(n as usize)
    }
    #[asyncify(result = "out")]
    fn make_string_or(&self, n: u32) -> Result<String, Errno> {
        if n > 100 { Err(Errno::RANGE) } else { Ok("o".repeat(n as usize)) }
    }
    fn fallible(&self, x: u32) -> Result<u32, Trap> {
        if x == 13 { Err(HadEnough(x).into()) } else { Ok(x + 1) }
    }
    /// Calls the guest back.
    fn echo_u32<T: Send + 'static>(&self, cx: &mut GuestCx<'_, T>, x: u32) -> Result<u32, Trap> {
        let live: u32 = cx.call("live_allocations", ())?;
        Ok(x + live)
    }
}

#[test]
fn plain_imports_take_and_answer_the_same() {
    block_on(async {
        let guest = Guest::builder(&module()).imports(Plain).trap_unknown_imports();
        let guest = guest.instantiate().await.unwrap();
        let app: GuestedExports = guest.exports().unwrap();
        assert_eq!(app.call_echo_u8(255).await.unwrap(), 255);
        assert_bad_value(app.call_echo_u8(256).await, "env.echo_u8", "256 is not a `u8`");
        assert_eq!(app.send_text().await.unwrap(), 13);
        let error = app.send_bad_text().await.unwrap_err();
        assert!(matches!(error, Error::NotUtf8 { .. }), "{error}");
        let error = app.call_take_bytes(u32::MAX, 2).await.unwrap_err();
        assert!(matches!(&error, Error::BadPointer { parameter, .. } if parameter == "bytes"));
        assert_eq!(app.fill_stack(64).await.unwrap(), digest(b"64 bytes fit"));
        assert_eq!(app.fill_stack(5).await.unwrap().cast_signed(), -90);
        assert_eq!(app.call_mixed().await.unwrap(), digest(b"7 mixed -8 0.5"));
        assert_eq!(app.digest_made(2).await.unwrap(), digest("öö".as_bytes()));
        assert_eq!(app.digest_made_or(2).await.unwrap().cast_unsigned(), digest(b"oo"));
        assert_eq!(app.digest_made_or(101).await.unwrap(), -34);
        let error = app.call_fallible(13).await.unwrap_err();
        assert_eq!(error.downcast_ref::<HadEnough>().unwrap().0, 13);
        assert_eq!(app.call_echo_u32(7).await.unwrap(), 7);
        assert_eq!(app.live_allocations().await.unwrap(), 0);
    });
}

#[test]
fn a_host_describes_its_imports() {
    let fetch = Host::IMPORTS.iter().find(|import| import.name == "make_string_or").unwrap();
    assert!(fetch.suspending);
    assert_eq!(fetch.to_string(), "env.make_string_or: (i32, i32) -> (i32)");
    assert_eq!((fetch.params[0].name, fetch.params[0].ty), ("n", "u32"));
    assert_eq!(fetch.result_ty, "Result<String, Errno>");
    assert!(Host::wasm_opt_args().starts_with("--pass-arg=asyncify-imports@env.echo_u8,env."));
    assert!(Plain::IMPORTS.iter().all(|import| !import.suspending));
    let with_guest = Plain::IMPORTS.iter().find(|import| import.name == "echo_u32").unwrap();
    assert_eq!(with_guest.doc, "Calls the guest back.");
}
