//! The guest's other side: its imports, suspending and plain, and its exports.

use std::io::Write;

use asyncify::{Errno, GuestCx, Lent, OutBuf, Trap};

/// Answers at once, or after a suspension.
pub(crate) struct Host {
    pub(crate) suspends: bool,
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
pub(crate) struct HadEnough(pub(crate) u32);

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
pub(crate) trait Guested {
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
pub(crate) trait Lending {
    fn bad_text(&self) -> Lent<Vec<u8>>;
}

/// The same imports, plain: text and bytes are lent from the guest's memory.
#[derive(Default)]
pub(crate) struct Plain {
    pub(crate) texts: std::sync::atomic::AtomicU32,
}

#[asyncify::imports(module = "env")]
impl Plain {
    fn echo_u8(x: u8) -> u8 {
        x
    }
    fn take_str(&self, text: &str) -> u32 {
        self.texts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        u32::try_from(text.chars().count()).unwrap_or(u32::MAX)
    }
    fn take_bytes(bytes: &[u8]) -> u32 {
        bytes.iter().map(|byte| u32::from(*byte)).sum()
    }
    fn fill(out: &mut OutBuf) -> Result<u32, Errno> {
        write!(out, "{} bytes fit", out.capacity())?;
        Ok(u32::try_from(out.written().len()).unwrap_or(u32::MAX))
    }
    fn mixed(a: u32, text: &str, b: i64, c: f64, out: &mut OutBuf) -> Result<u32, Errno> {
        write!(out, "{a} {text} {b} {c}")?;
        Ok(u32::try_from(out.written().len()).unwrap_or(u32::MAX))
    }
    fn make_string(n: u32) -> String {
        "ö".repeat(n as usize)
    }
    #[asyncify(result = "out")]
    fn make_string_or(n: u32) -> Result<String, Errno> {
        if n > 100 { Err(Errno::RANGE) } else { Ok("o".repeat(n as usize)) }
    }
    fn fallible(x: u32) -> Result<u32, Trap> {
        if x == 13 { Err(HadEnough(x).into()) } else { Ok(x + 1) }
    }
    /// Calls the guest back.
    fn echo_u32<T: Send + 'static>(cx: &mut GuestCx<'_, T>, x: u32) -> Result<u32, Trap> {
        let live: u32 = cx.call("live_allocations", ())?;
        Ok(x + live)
    }
}
