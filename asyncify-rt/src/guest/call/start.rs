//! How a call starts: its arguments are placed in the guest, which runs until it returns or parks.

use wasmtime::AsContextMut;

use super::parked::Parking;
use super::target::Target;
use crate::cx::GuestCx;
use crate::cycle::{self, Outcome};
use crate::error::Thin;
use crate::parts::machine::MaySuspend;
use crate::parts::memory::Slice;
use crate::store::Vm;

/// Keeps what was placed for a call's arguments while they, or the result, are converted: it is
/// dropped should that panic, and only then.
pub(super) struct Converting<'a, 'b, T: Send + 'static> {
    pub(super) guest: &'a mut GuestCx<'b, T>,
    pub(super) placed: Vec<Slice>,
}

impl<T: Send + 'static> Converting<'_, '_, T> {
    #[inline]
    pub(super) fn end(mut self) -> Vec<Slice> {
        let placed = std::mem::take(&mut self.placed);
        std::mem::forget(self);
        placed
    }
}

impl<T: Send + 'static> Drop for Converting<'_, '_, T> {
    #[cold]
    fn drop(&mut self) {
        let rt = self.guest.vm.rt();
        self.placed.extend(rt.run.placed.take().unwrap_or_default());
        rt.mail.open(|letters| letters.placed.append(&mut self.placed));
    }
}

/// Places the arguments, and runs wasm until it returns, which gives an output, or parks.
#[allow(clippy::inline_always, reason = "one place for each way to call, on the shortest of ways")]
#[inline(always)]
pub(super) fn start<T: Send + 'static, X: Target<T>>(
    target: &X,
    guest: &mut GuestCx<'_, T>,
    may_suspend: MaySuspend,
    args: X::Args,
    output: &mut Option<X::Output>,
) -> Thin<Option<Parking<X::Kept>>> {
    cycle::check_poison(guest.vm.runtime())?;
    let mut converting = Converting { guest, placed: Vec::new() };
    converting.guest.vm.rt().run.placed = Some(Vec::new());
    let values = target.place(converting.guest, args);
    converting.placed = converting.guest.vm.rt().run.placed.take().unwrap_or_default();
    let ran = match values {
        Ok(values) => {
            enter(target, converting.guest, may_suspend, values, &converting.placed, output)
        }
        Err(error) => Err(error.into()),
    };
    let placed = converting.end();
    match ran {
        Ok(Some(mut parking)) => {
            parking.placed = placed;
            Ok(Some(parking))
        }
        ran => {
            if !placed.is_empty() {
                guest.vm.free_all(&placed);
            }
            ran.map(|_| None)
        }
    }
}

#[allow(clippy::inline_always, reason = "as above")]
#[inline(always)]
fn enter<T: Send + 'static, X: Target<T>>(
    target: &X,
    guest: &mut GuestCx<'_, T>,
    may_suspend: MaySuspend,
    (params, kept): (X::Params, X::Kept),
    placed: &[Slice],
    output: &mut Option<X::Output>,
) -> Thin<Option<Parking<X::Kept>>> {
    let mut raw = None;
    let invoke = |vm: &mut Vm<'_, T>| {
        raw = Some(target.invoke(vm.store.as_context_mut(), params)?);
        Ok(())
    };
    match cycle::enter(&mut guest.vm, target.name(), may_suspend, invoke)? {
        Outcome::Returned => {
            *output = raw.map(|raw| target.finish(guest, kept, raw, placed)).transpose()?;
            Ok(None)
        }
        Outcome::Parked { key, pending, saved } => {
            Ok(Some(Parking { key, pending, kept, placed: Vec::new(), saved }))
        }
    }
}
