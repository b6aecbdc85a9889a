//! The user's names are also those of the expansion.

#![allow(missing_docs, missing_debug_implementations)]

pub struct Host;

/// Not the host's own functions.
pub trait Other {
    fn host(&self) {}
    fn register(&self) {}
    fn clone(&self) {}
}

impl Other for Host {}

const LEN: usize = 4;

#[asyncify::imports(module = "env")]
impl Host {
    async fn host(&self, host: u32, imports: &str, answer: u32, cx: u32, arg0: &[u8]) {
        let _ = (host, imports, answer, cx, arg0);
    }

    fn r#type(&self, r#fn: u32) -> u32 {
        r#fn
    }

    fn len(_: u32, _: &str) -> u64 {
        LEN as u64
    }

    #[allow(non_snake_case)]
    fn LEN(&self) -> u32 {
        0
    }

    #[cfg(unix)]
    fn by_system(&self) -> u32 {
        0
    }

    #[cfg(not(unix))]
    fn by_system(&self, handle: u64) -> u32 {
        u32::from(handle == 0)
    }

    #[cfg(any())]
    async fn never(&self, nothing: Nothing) -> Nothing {}

    #[cfg_attr(all(), cfg(any()))]
    fn nor_this(&self, nothing: Nothing) {}

    fn register(&self) {}

    fn clone(&self, mut times: u32) -> u32 {
        times += 1;
        times
    }

    #[deprecated]
    async fn out_of_use(&self) {}

    #[asyncify(skip)]
    #[must_use]
    pub const fn hosts(self) -> [Self; 1] {
        [self]
    }
}

pub struct With<F>(pub F);

/// It borrows nothing: each call of the function has a lifetime of its own.
#[asyncify::imports(module = "env")]
impl With<Box<dyn Fn(&str) -> u32 + Send + Sync>> {
    fn look_up(&self, name: &str) -> u32 {
        (self.0)(name)
    }
}

#[asyncify::exports]
pub(crate) trait App {
    async fn call(&self, call: u32, arg0: &str) -> u32;
    async fn clone(&self) -> u32;
    async fn lookup(&self, lookup: u32);
    fn r#type(&self, r#fn: u32);
    #[cfg(unix)]
    async fn by_system(&self);
    #[cfg(not(unix))]
    async fn by_system(&self, handle: u64);
    #[cfg(any())]
    async fn never(&self, nothing: Nothing) -> Nothing;
    #[cfg_attr(all(), cfg(any()))]
    fn nor_this(&self, nothing: Nothing);
    #[deprecated]
    #[must_use]
    async fn out_of_use(&self) -> u32;
    #[allow(non_snake_case, clippy::too_many_arguments)]
    async fn onEvent(&self, a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, theLast: u8);
}

/// What its names and types are warned of is allowed in what is made of it, too.
#[asyncify::exports]
#[expect(non_camel_case_types, deprecated, reason = "the guest's names")]
pub trait old_app {
    async fn run(&self, handle: Handle) -> Handle;
    fn stop(&self, handle: Handle) -> Handle;
}

#[deprecated]
type Handle = u32;

#[asyncify::exports]
trait Unused {
    async fn run(&self);
}
