//! What crosses: every kind of parameter and result, and what a guest should not pass.

use std::sync::Arc;

use asyncify::testing::Mock;
use asyncify::wasmtime::{V128, Val};
use asyncify::{
    Errno, Error, FromGuest, FromGuestError, GuestCx, GuestPtr, IntoGuest, OutBuf, Slice, Trap,
};

/// Every kind of parameter and result, plain and suspending.
#[derive(Default)]
pub(crate) struct Kinds {
    seen: std::sync::Mutex<Vec<String>>,
}

impl Kinds {
    fn saw(&self, what: impl std::fmt::Debug) {
        self.seen.lock().unwrap().push(format!("{what:?}"));
    }
}

#[derive(Debug, PartialEq)]
struct Handle(u32);

impl FromGuest for Handle {
    type Abi = u32;
    fn from_guest<T: Send + 'static>(_: &mut GuestCx<'_, T>, abi: u32) -> Result<Self, Trap> {
        if abi == 0 { Err(Trap::new("a handle is not 0")) } else { Ok(Self(abi)) }
    }
}

impl IntoGuest for Handle {
    type Abi = u32;
    fn into_guest<T: Send + 'static>(self, _: &mut GuestCx<'_, T>) -> Result<u32, Trap> {
        Ok(self.0)
    }
}

#[asyncify::imports(module = "env")]
impl Kinds {
    async fn integers(&self, a: u8, b: i8, c: u16, d: i16, e: u32, f: i32, g: u64, h: i64) {
        tokio::task::yield_now().await;
        self.saw((a, b, c, d, e, f, g, h));
    }

    fn others(&self, a: f32, b: f64, c: bool, d: char, e: V128, f: GuestPtr<u8>, g: Handle) {
        self.saw((a, b, c, d, e.as_u128(), f, g));
    }

    async fn texts(&self, a: &str, b: String, c: &[u8], d: Vec<u8>) -> u32 {
        tokio::task::yield_now().await;
        self.saw((a, b, c, d));
        4
    }

    fn texts_now(&self, a: &str, b: String, c: &[u8], d: Vec<u8>) -> u32 {
        self.saw((a, b, c, d));
        4
    }

    async fn fill(&self, out: &mut OutBuf) -> Result<u32, Errno> {
        out.push(b"begun ");
        tokio::task::yield_now().await;
        Ok(out.put("and done")?)
    }

    fn fill_now(&self, out: &mut OutBuf) -> u32 {
        u32::try_from(out.push(b"now")).unwrap()
    }

    async fn packed(&self, n: u32) -> Result<String, Errno> {
        tokio::task::yield_now().await;
        if n == 0 { Err(Errno::INVAL) } else { Ok("x".repeat(n as usize)) }
    }

    #[asyncify(result = "out")]
    async fn stored(&self, n: u32) -> Result<Vec<u8>, Errno> {
        tokio::task::yield_now().await;
        if n == 0 { Err(Errno::INVAL) } else { Ok(vec![7; n as usize]) }
    }

    #[asyncify(result = "out")]
    fn stored_now(&self) -> String {
        "stored".to_owned()
    }

    async fn pair(&self) -> (u32, f64) {
        (1, 0.5)
    }

    fn handle(&self, handle: Handle) -> Handle {
        Handle(handle.0 + 1)
    }

    async fn status(&self, code: i32) -> Result<(), Errno> {
        Errno::new(code).map_or(Ok(()), Err)
    }

    async fn ends(&self) -> Result<u32, Trap> {
        tokio::task::yield_now().await;
        Err(std::io::Error::other("the disk is gone"))?
    }

    #[asyncify(module = "other", name = "renamed")]
    fn inner_name(&self) -> u32 {
        9
    }

    fn with_guest<T: Send + 'static>(&self, cx: &mut GuestCx<'_, T>, ptr: u32) -> u32 {
        cx.read(ptr, 1).map_or(0, |bytes| bytes[0].into())
    }

    fn panics(&self) {
        panic!("the host's own mistake");
    }
}

pub(crate) async fn kinds() -> (Arc<Kinds>, Mock) {
    let host = Arc::new(Kinds::default());
    let mock = Mock::shared(Arc::clone(&host)).await.unwrap();
    (host, mock)
}

fn last(host: &Kinds) -> String {
    host.seen.lock().unwrap().last().unwrap().clone()
}

#[tokio::test]
async fn every_scalar() {
    let (host, mock) = kinds().await;
    let args = (255, -128, 65535, -1, u32::MAX, i32::MIN, u64::MAX, -1_i64);
    mock.call::<_, ()>("env", "integers", args).await.unwrap();
    assert_eq!(
        last(&host),
        "(255, -128, 65535, -1, 4294967295, -2147483648, 18446744073709551615, -1)"
    );
    let args = (0.5_f32, -0.25_f64, 1, 0xfc_u32, V128::from(3_u128), 64, 5);
    mock.call::<_, ()>("env", "others", args).await.unwrap();
    assert_eq!(last(&host), "(0.5, -0.25, true, 'ü', 3, GuestPtr(0x40), Handle(5))");
}

#[tokio::test]
async fn every_text() {
    let (host, mock) = kinds().await;
    let (a, b) = (mock.place("grüß").unwrap(), mock.place("").unwrap());
    let (c, d) = (mock.place([1, 2]).unwrap(), mock.place(vec![3]).unwrap());
    for name in ["texts", "texts_now"] {
        assert_eq!(mock.call::<_, i32>("env", name, (a, b, c, d)).await.unwrap(), 4);
        assert_eq!(last(&host), r#"("grüß", "", [1, 2], [3])"#);
    }
    let split = (a.ptr, a.len, b, c, d.ptr, d.len);
    assert_eq!(mock.call::<_, u32>("env", "texts", split).await.unwrap(), 4);
}

#[tokio::test]
async fn buffers_are_written_as_far_as_they_were_filled() {
    let (_, mock) = kinds().await;
    let out = mock.reserve(32).unwrap();
    mock.write(out.ptr, [0xee; 32]).unwrap();
    assert_eq!(mock.call::<_, i32>("env", "fill", out).await.unwrap(), 14);
    assert_eq!(mock.read(out.ptr, 15).unwrap(), b"begun and done\xee");

    let small = Slice { len: 8, ..out };
    mock.write(out.ptr, [0xee; 32]).unwrap();
    let code = mock.call::<_, i32>("env", "fill", small).await.unwrap();
    assert_eq!(Errno::from_code(code).needed(), Some(14));
    assert_eq!(mock.read(out.ptr, 9).unwrap(), b"begun \xee\xee\xee", "none of what does not fit");

    assert_eq!(mock.call::<_, u32>("env", "fill_now", (out.ptr, 2)).await.unwrap(), 2);
    assert_eq!(mock.read(out.ptr, 3).unwrap(), b"nog");
}

#[tokio::test]
async fn results_packed_out_and_several() {
    let (_, mock) = kinds().await;
    let text: Slice = mock.call("env", "packed", 3).await.unwrap();
    assert_eq!(mock.text(text).unwrap(), "xxx");
    assert_eq!(mock.call::<_, i64>("env", "packed", 0).await.unwrap(), -22);

    let out = mock.reserve(8).unwrap();
    assert_eq!(mock.call::<_, i32>("env", "stored", (2, out.ptr)).await.unwrap(), 0);
    let stored = mock.read_slice(out.ptr).unwrap();
    assert_eq!(mock.read(stored.ptr, stored.len).unwrap(), [7, 7]);

    mock.write(out.ptr, [0xee; 8]).unwrap();
    assert_eq!(mock.call::<_, i32>("env", "stored", (0, out.ptr)).await.unwrap(), -22);
    assert_eq!(mock.read(out.ptr, 8).unwrap(), [0xee; 8]);

    mock.call::<_, ()>("env", "stored_now", out.ptr).await.unwrap();
    assert_eq!(mock.text(mock.read_slice(out.ptr).unwrap()).unwrap(), "stored");

    assert_eq!(mock.call::<_, (u32, f64)>("env", "pair", ()).await.unwrap(), (1, 0.5));
    assert_eq!(mock.call::<_, u32>("env", "handle", 5).await.unwrap(), 6);
    assert_eq!(mock.call::<_, i32>("env", "status", 0).await.unwrap(), 0);
    assert_eq!(mock.call::<_, i32>("env", "status", 5).await.unwrap(), -5);
    assert_eq!(mock.call::<_, u32>("other", "renamed", ()).await.unwrap(), 9);

    let byte = mock.place([42]).unwrap();
    assert_eq!(mock.call::<_, u32>("env", "with_guest", byte.ptr).await.unwrap(), 42);
    let dynamic = vec![Val::I32(41)];
    assert_eq!(mock.call::<_, u32>("env", "handle", dynamic).await.unwrap(), 42);
}

#[tokio::test]
async fn bad_pointers_name_function_and_parameter() {
    let (_, mock) = kinds().await;
    let end = mock.memory_size();
    let good = mock.place("good").unwrap();
    for name in ["texts", "texts_now"] {
        let args = (good, good, Slice { ptr: end - 3, len: 4 }, good);
        match mock.call::<_, u32>("env", name, args).await {
            Err(Error::BadPointer { function, parameter, ptr, len, memory_size }) => {
                assert_eq!((function, parameter.as_str()), (format!("env.{name}"), "c"));
                assert_eq!((ptr, len, memory_size), ((end - 3).into(), 4, end.into()));
            }
            other => panic!("{other:?}"),
        }
        // The last bytes of the memory are good ones.
        let args = (good, good, Slice { ptr: end - 4, len: 4 }, good);
        assert_eq!(mock.call::<_, u32>("env", name, args).await.unwrap(), 4);
    }
    for name in ["fill", "fill_now"] {
        let error = mock.call::<_, u32>("env", name, (u32::MAX, u32::MAX)).await.unwrap_err();
        assert!(matches!(&error, Error::BadPointer { parameter, .. } if parameter == "out"));
        assert_eq!(
            error.to_string(),
            format!(
                "`env.{name}`: parameter `out` is 4294967295 bytes at 0xffffffff, but the memory ends at 0x100000"
            )
        );
    }
    let error = mock.call::<_, ()>("env", "stored_now", end - 7).await.unwrap_err();
    assert!(
        matches!(&error, Error::BadPointer { function, parameter, .. }
            if function == "env.stored_now" && parameter == "result"),
        "{error:?}"
    );
}

#[tokio::test]
async fn bad_values_name_function_and_parameter() {
    let (_, mock) = kinds().await;
    let error = |args: (i32, i32)| {
        let args = (args.0, -1, 1, 1, 1, args.1, 1_u64, 1_u64);
        mock.call::<_, ()>("env", "integers", args)
    };
    error((255, 0)).await.unwrap();
    assert_eq!(
        error((256, 0)).await.unwrap_err().to_string(),
        "`env.integers`: parameter `a`: 256 is not a `u8`"
    );

    let (bad, good) = (mock.place(b"ab\xff").unwrap(), mock.place("good").unwrap());
    let texts = mock.call::<_, u32>("env", "texts", (bad, good, bad, bad)).await;
    assert!(matches!(texts, Err(Error::NotUtf8 { parameter, .. }) if parameter == "a"));

    let error = mock.call::<_, u32>("env", "handle", 0).await.unwrap_err();
    assert_eq!(error.to_string(), "`env.handle`: parameter `handle`: a handle is not 0");
}

#[tokio::test]
async fn the_hosts_own_error_ends_the_call_and_nothing_else() {
    let (_, mock) = kinds().await;
    let error = mock.call::<_, u32>("env", "ends", ()).await.unwrap_err();
    assert!(matches!(&error, Error::Host { function, .. } if function == "env.ends"));
    assert_eq!(error.downcast_ref::<std::io::Error>().unwrap().to_string(), "the disk is gone");
    assert_eq!(mock.call::<_, u32>("env", "handle", 1).await.unwrap(), 2);
}

#[tokio::test]
async fn a_hosts_panic_reaches_the_test() {
    let (_, mock) = kinds().await;
    let call = mock.call::<_, ()>("env", "panics", ());
    let panic = tokio::spawn(call).await.unwrap_err().into_panic();
    assert_eq!(*panic.downcast::<&str>().unwrap(), "the host's own mistake");
}

#[tokio::test]
async fn a_wrong_name_lists_the_imports() {
    struct Two;
    #[asyncify::imports(module = "env")]
    impl Two {
        fn log(&self, _line: &str) {}
        async fn fetch(&self) {}
    }
    let mock = Mock::new(Two).await.unwrap();
    for (module, name) in [("env", "fetsh"), ("evn", "fetch")] {
        let error = mock.call::<_, ()>(module, name, ()).await.unwrap_err();
        assert!(matches!(&error, Error::NoSuchImport { present, .. } if present.len() == 2));
        assert_eq!(
            error.to_string(),
            format!(
                "the host has no import `{module}.{name}` (did you mean `env.fetch`?); it has `env.fetch` and `env.log`"
            )
        );
    }
    let empty = Mock::builder().build().await.unwrap();
    let error = empty.call::<_, ()>("env", "log", ()).await.unwrap_err();
    assert_eq!(error.to_string(), "the host has no import `env.log`; it has nothing");
}

#[tokio::test]
async fn a_wrong_signature_shows_both() {
    let (_, mock) = kinds().await;
    let error = mock.call::<_, u64>("env", "fill", 1).await.unwrap_err();
    assert!(matches!(error, Error::SignatureMismatch { .. }));
    assert_eq!(
        error.to_string(),
        "`env.fill` has the type (i32, i32) -> (i32), and was used as (i32) -> (i64)"
    );
    let error = mock.call::<_, ()>("env", "stored", 1).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`env.stored` has the type (i32, i32) -> (i32), and was used as (i32) -> ()"
    );
    assert!(mock.call::<_, u32>("env", "handle", 1_u64).await.is_err());
    let mut refused = mock.call::<_, u32>("env", "handle", ());
    assert!(matches!(refused.cancel(1), Err(Error::NotParked { .. })));
    assert!(format!("{refused:?}").contains("has the type"));
}
