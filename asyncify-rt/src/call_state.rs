//! What belongs to a call and stands in globals or in memory, as `errno` does: kept for each call
//! while it is parked, as each thread has its own.

mod globals;

use std::any::Any;
use std::sync::Arc;

use wasmtime::{Global, Val};

use crate::cx::GuestCx;
use crate::error::{Error, Result, Trap};
pub(crate) use globals::find;

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
/// An error ends the call, as one of an import does: see [`Error::Host`].
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

/// A [`CallState`], whatever it keeps.
pub(crate) trait Hooks<T: Send + 'static>: Send + Sync {
    fn park(&self, guest: &mut GuestCx<'_, T>) -> Result<Hooked, Trap>;
    fn resume(&self, guest: &mut GuestCx<'_, T>, hooked: Hooked) -> Result<(), Trap>;
}

type Hooked = Box<dyn Any + Send>;

impl<T: Send + 'static, S: CallState<T>> Hooks<T> for S {
    fn park(&self, guest: &mut GuestCx<'_, T>) -> Result<Hooked, Trap> {
        Ok(Box::new(CallState::park(self, guest)?))
    }

    fn resume(&self, guest: &mut GuestCx<'_, T>, hooked: Hooked) -> Result<(), Trap> {
        match hooked.downcast::<S::Saved>() {
            Ok(saved) => CallState::resume(self, guest, *saved),
            // A guest has one of them, for as long as it is there.
            Err(_) => Err(Trap::new("what was kept for the call is of another type")),
        }
    }
}

/// What a guest keeps for each call.
pub(crate) struct PerCall<T: Send + 'static> {
    /// Globals, and what a new call finds in them.
    globals: Vec<(Global, Val)>,
    hooks: Option<Arc<dyn Hooks<T>>>,
}

/// What is kept for one call.
pub(crate) struct Saved {
    globals: Box<[Val]>,
    hooked: Option<Hooked>,
}

impl<T: Send + 'static> PerCall<T> {
    /// `None` if there is nothing to keep.
    pub(crate) fn new(
        cx: &mut GuestCx<'_, T>,
        globals: Vec<Global>,
        hooks: Option<Arc<dyn Hooks<T>>>,
    ) -> Option<Box<Self>> {
        if globals.is_empty() && hooks.is_none() {
            return None;
        }
        let globals = globals.into_iter().map(|global| (global, global.get(&mut cx.store)));
        Some(Box::new(Self { globals: globals.collect(), hooks }))
    }

    /// As it is now is how a new call finds it.
    pub(crate) fn begin_with_this(&mut self, cx: &mut GuestCx<'_, T>) {
        for (global, first) in &mut self.globals {
            *first = global.get(&mut cx.store);
        }
    }
}

impl<T: Send + 'static> GuestCx<'_, T> {
    pub(crate) fn keeps_call_state(&self) -> bool {
        self.store.data().per_call.is_some()
    }

    fn call_global(&self, index: usize) -> Option<(Global, Val)> {
        self.store.data().per_call.as_ref()?.globals.get(index).copied()
    }

    fn hooks(&self) -> Option<Arc<dyn Hooks<T>>> {
        self.store.data().per_call.as_ref()?.hooks.clone()
    }

    /// A new call begins.
    #[cold]
    pub(crate) fn begin_call_state(&mut self) -> Result<()> {
        let mut index = 0;
        while let Some((global, first)) = self.call_global(index) {
            global.set(&mut self.store, first).map_err(Error::engine)?;
            index += 1;
        }
        Ok(())
    }

    /// Takes out what belongs to the call that has parked.
    pub(crate) fn take_call_state(&mut self) -> Result<Saved, Trap> {
        let mut globals = Vec::new();
        while let Some((global, _)) = self.call_global(globals.len()) {
            globals.push(global.get(&mut self.store));
        }
        // Not before: what it calls of the guest may change them.
        let hooked = self.hooks().map(|hooks| hooks.park(self)).transpose()?;
        Ok(Saved { globals: globals.into(), hooked })
    }

    /// Puts back what stands in memory. The globals come last, when nothing runs any more before
    /// the call.
    pub(crate) fn put_back_call_state(&mut self, saved: Saved) -> Result<Box<[Val]>, Trap> {
        if let (Some(hooks), Some(hooked)) = (self.hooks(), saved.hooked) {
            hooks.resume(self, hooked)?;
        }
        Ok(saved.globals)
    }

    pub(crate) fn put_back_call_globals(&mut self, values: &[Val]) -> Result<()> {
        for (index, value) in values.iter().enumerate() {
            if let Some((global, _)) = self.call_global(index) {
                global.set(&mut self.store, *value).map_err(Error::engine)?;
            }
        }
        Ok(())
    }
}
