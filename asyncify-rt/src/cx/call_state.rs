//! What belongs to a call and stands in globals or in memory, as `errno` does: kept for each call
//! while it is parked, as each thread has its own.

use super::hand::GuestCx;
use crate::error::Trap;
use crate::store::{Hooked, Hooks, Vm};

/// Keeps for each call what belongs to it and stands in the guest's memory: `errno`, an
/// interpreter's current exception, the list of its handlers.
///
/// Whatever runs while a call is parked may change it. So [`park`](Self::park) takes it out when a
/// call has parked, and [`resume`](Self::resume) puts it back before that call goes on. Both are
/// handed the guest, whose functions they may call, and run on the thread that polls the call. What
/// stands in a global is kept by [`Builder::call_globals`](crate::Builder::call_globals) alone.
///
/// A new call finds what the one before it left; `park` may write there what a new one should find.
/// What was taken out goes with the call: it is dropped if that is dropped.
///
/// # Errors
/// An error ends the call, as one of an import does: see [`Error::Host`](crate::Error::Host).
///
/// # Panics
/// A panic poisons the guest, as one of an import does that the guest just called.
///
/// ```
/// use asyncify::{CallState, Guest, GuestCx, Module, Trap};
/// # use asyncify::wasmtime::Engine;
///
/// /// The guest's `errno`, which is a variable in its memory.
/// struct Errno;
///
/// impl<T: Send + 'static> CallState<T> for Errno {
///     type Saved = [u8; 4];
///
///     fn park(&self, guest: &mut GuestCx<'_, T>) -> Result<[u8; 4], Trap> {
///         let at = guest.call::<(), u32>("errno_location", ())?;
///         let mut errno = [0; 4];
///         errno.copy_from_slice(guest.read(at, 4)?);
///         Ok(errno)
///     }
///
///     fn resume(&self, guest: &mut GuestCx<'_, T>, errno: [u8; 4]) -> Result<(), Trap> {
///         let at = guest.call::<(), u32>("errno_location", ())?;
///         Ok(guest.write(at, &errno)?)
///     }
/// }
///
/// # futures::executor::block_on(async {
/// # let module = Module::new(&Engine::default(), r#"(module (memory 1) (func (export "errno_location") (result i32) i32.const 64))"#)?;
/// let guest = Guest::builder(&module).call_state(Errno).instantiate().await?;
/// # Ok::<(), asyncify::Error>(()) }).unwrap();
/// ```
pub trait CallState<T: Send + 'static>: Send + Sync + 'static {
    /// What is kept for a call.
    type Saved: Send + 'static;

    /// Takes out what belongs to a call, which has parked. See [`CallState`] for an example.
    ///
    /// # Errors
    /// Whatever ends the call.
    fn park(&self, guest: &mut GuestCx<'_, T>) -> Result<Self::Saved, Trap>;

    /// Puts it back: the call goes on. See [`CallState`] for an example.
    ///
    /// # Errors
    /// Whatever ends the call.
    fn resume(&self, guest: &mut GuestCx<'_, T>, saved: Self::Saved) -> Result<(), Trap>;
}

impl<T: Send + 'static, S: CallState<T>> Hooks<T> for S {
    fn park(&self, vm: &mut Vm<'_, T>) -> Result<Hooked, Trap> {
        Ok(Box::new(CallState::park(self, &mut GuestCx::new(vm.again()))?))
    }

    fn resume(&self, vm: &mut Vm<'_, T>, hooked: Hooked) -> Result<(), Trap> {
        match hooked.downcast::<S::Saved>() {
            Ok(saved) => CallState::resume(self, &mut GuestCx::new(vm.again()), *saved),
            // A guest has one of them, for as long as it is there.
            Err(_) => Err(Trap::new("what was kept for the call is of another type")),
        }
    }
}
