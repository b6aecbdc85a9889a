//! What the guest calls, the same on both sides. The attribute is all that this library needs of it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The host of both sides.
#[derive(Clone, Copy, Debug, Default)]
pub struct Host {
    /// Whether `pause` yields to tokio instead of the bare poll loop.
    pub tokio: bool,
}

#[asyncify::imports(module = "env")]
impl Host {
    /// A plain import with a number. No compiler sees through it, as it would not through one that
    /// does something, and it could panic, as nearly any could. Of one that never panics a compiler
    /// sees just that, and drops wasmtime's guard against panics where the function stands alone.
    #[inline(never)]
    pub fn plain(&self, x: u32) -> u32 {
        x.checked_add(1).expect("the guest counts to less")
    }

    /// A plain import with text.
    #[inline(never)]
    pub fn text(&self, text: &str, x: u32) -> u32 {
        x.wrapping_add(u32::from(text.ends_with("you")))
    }

    /// A suspending import that never waits, and that no compiler sees through.
    pub async fn ready(&self, x: u32) -> u32 {
        Opaque(x).await
    }

    /// A suspending import with bytes that never waits.
    pub async fn bytes(&self, bytes: &[u8]) -> u32 {
        Opaque(bytes.first().copied().unwrap_or_default().into()).await
    }

    /// A suspending import that waits once.
    pub async fn pause(&self, x: u32) -> u32 {
        if self.tokio {
            tokio::task::yield_now().await;
        } else {
            YieldOnce::default().await;
        }
        x.wrapping_add(1)
    }
}

struct Opaque(u32);

impl Future for Opaque {
    type Output = u32;

    #[inline(never)]
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u32> {
        Poll::Ready(self.0.wrapping_add(1))
    }
}

/// Waits for the next poll, whoever comes to do it.
#[derive(Debug, Default)]
pub struct YieldOnce(bool);

impl Future for YieldOnce {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
