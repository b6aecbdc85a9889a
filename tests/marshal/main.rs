//! Every type that crosses, in both directions, at once and across a suspension, with what a
//! guest can do wrong. The guest is `examples/guests/marshal.wasm`.

mod host;

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use asyncify::wasmtime::Engine;
use asyncify::{Errno, Error, Guest, Lent, Module};
use futures::executor::block_on;
use host::{GuestedExports, HadEnough, Host, LendingExports, Plain};

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
#[allow(clippy::needless_pass_by_value, reason = "a test is one closure")]
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

#[test]
fn plain_imports_take_and_answer_the_same() {
    block_on(async {
        let host = Arc::new(Plain::default());
        let guest = Guest::builder(&module()).shared_imports(host.clone()).trap_unknown_imports();
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
        assert_eq!(host.texts.load(Ordering::Relaxed), 1, "bad text never reaches the host");
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
