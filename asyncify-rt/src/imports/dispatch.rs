//! What happens when the guest calls an import: marshal in, poll, park or answer, marshal out.

use std::fmt;
use std::sync::Arc;

use wasmtime::{AsContextMut, Caller, Val};

use super::info::ImportInfo;
use super::list::AsyncImports;
use super::task::{Place, Task, take_back};
use crate::cx::GuestCx;
use crate::cycle::{self, Entered};
use crate::error::{Error, Name};
use crate::marshal::{Answer, Concat, IntoGuest, Params, Values};
use crate::parts::machine::Kind;
use crate::parts::passed::Passed;
use crate::store::{State, Vm};
use crate::suspend;

type Wire<P, M, R> = <<P as Params>::Values as Concat<<M as Answer<R>>::Params>>::Out;

impl<T: Send + 'static> AsyncImports<T> {
    fn add_typed<P, M, R, F>(&mut self, info: &'static ImportInfo, suspending: bool, function: F)
    where
        P: Params<Values: Concat<M::Params>>,
        M: Answer<R>,
        F: Fn(Caller<'_, State<T>>, Wire<P, M, R>) -> wasmtime::Result<M::Results>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        self.add(info.module, info.name, suspending, move |linker, module, name| {
            Wire::<P, M, R>::define(linker, module, name, function.clone())
        });
    }

    /// Not public API: an `async fn` of an annotated block.
    #[doc(hidden)]
    pub fn suspending<P, M, R, H, F, Fut>(
        &mut self,
        info: &'static ImportInfo,
        host: &Arc<H>,
        body: F,
    ) where
        P: Params<Values: Concat<M::Params>>,
        M: Answer<R>,
        R: IntoGuest + Send + 'static,
        H: Send + Sync + 'static,
        F: Fn(Arc<H>, P::Owned) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = (Arc<H>, R, P::Kept)> + Send + 'static,
    {
        let host = Arc::clone(host);
        let index = self.definitions.len();
        self.add_typed::<P, M, R, _>(info, true, move |mut caller, values| {
            let mut cx = GuestCx::calling(&mut caller);
            let (answer, kept, out) = match cycle::enter_suspending(&mut cx.vm, || info.id())? {
                Entered::Called => {
                    let (params, out) = P::Values::split(values);
                    let owned = P::own(&mut cx, params, info.site())?;
                    let rt = cx.vm.rt();
                    let place = rt.tasks.place::<Place<H, Fut, M::Params>>(index)?;
                    let mut task = place.get_or_insert_with(|| Task::make(info)).as_mut();
                    // Two instances in one store may have hosts of one type.
                    let kept = task.as_mut().take_host().filter(|kept| Arc::ptr_eq(kept, &host));
                    let host = kept.unwrap_or_else(|| Arc::clone(&host));
                    let future = body(host, owned);
                    match task.as_mut().start(future, rt.run.waker.waker(), &rt.holder) {
                        Some((host, answer, kept)) => {
                            task.keep_host(host);
                            (answer, kept, out)
                        }
                        None => {
                            task.keep_out(out);
                            if let Some(task) = place.take() {
                                suspend::note_caller(&mut caller);
                                let mut vm = Vm::new(caller.as_context_mut());
                                cycle::suspend_in(&mut vm, task)?;
                            }
                            return Ok(M::Results::zero());
                        }
                    }
                }
                Entered::Resumed(resuming) => {
                    if let Some(values) = resuming.instead {
                        return instead(info.id(), &values);
                    }
                    let Some(mut task) = take_back::<Task<H, Fut, M::Params>>(resuming.pending)
                    else {
                        return Err(other_signature(info.id()).into());
                    };
                    let ((host, answer, kept), out) =
                        task.as_mut().finish().ok_or_else(|| other_signature(info.id()))?;
                    task.as_mut().keep_host(host);
                    *cx.vm.rt().tasks.place(index)? = Some(task);
                    (answer, kept, out)
                }
            };
            P::finish(&mut cx, kept, info.site())?;
            let sent = M::send(&mut cx, out, answer);
            Ok(sent.map_err(|cause| info.site().result().error(cause))?)
        });
    }

    /// Not public API: a plain `fn` of an annotated block.
    #[doc(hidden)]
    pub fn plain<P, M, R, H, F>(&mut self, info: &'static ImportInfo, host: &Arc<H>, body: F)
    where
        P: Params<Values: Concat<M::Params>>,
        M: Answer<R>,
        R: IntoGuest + 'static,
        H: Send + Sync + 'static,
        F: for<'a> Fn(&'a H, P::Lent<'a>) -> R + Clone + Send + Sync + 'static,
    {
        let host = Arc::clone(host);
        self.add_typed::<P, M, R, _>(info, false, move |mut caller, values| {
            cycle::enter_plain(&caller.data().rt, Kind::Plain, || info.id())?;
            let mut cx = GuestCx::calling(&mut caller);
            if P::COPIES {
                cx.vm.rt().run.passed = Passed::default();
            }
            let (params, out) = P::Values::split(values);
            let (staged, mut kept) = P::stage(&mut cx, params, info.site())?;
            let memory = if P::LENDS { cx.memory() } else { &[] };
            let answer = body(&host, P::lend(staged, &mut kept, memory, info.site())?);
            P::finish(&mut cx, kept, info.site())?;
            let sent = M::send(&mut cx, out, answer);
            Ok(sent.map_err(|cause| info.site().result().error(cause))?)
        });
    }

    /// Not public API: a plain `fn` of an annotated block that takes the guest.
    #[doc(hidden)]
    pub fn plain_with_guest<P, M, R, H, F>(
        &mut self,
        info: &'static ImportInfo,
        host: &Arc<H>,
        body: F,
    ) where
        P: Params<Values: Concat<M::Params>>,
        M: Answer<R>,
        R: IntoGuest + 'static,
        H: Send + Sync + 'static,
        F: Fn(&H, &mut GuestCx<'_, T>, P::Owned) -> (R, P::Kept) + Clone + Send + Sync + 'static,
    {
        let host = Arc::clone(host);
        self.add_typed::<P, M, R, _>(info, false, move |mut caller, values| {
            cycle::enter_plain(&caller.data().rt, Kind::Plain, || info.id())?;
            let mut cx = GuestCx::calling(&mut caller);
            cx.vm.rt().run.passed = Passed::default();
            let (params, out) = P::Values::split(values);
            let owned = P::own(&mut cx, params, info.site())?;
            let (answer, kept) = body(&host, &mut cx, owned);
            P::finish(&mut cx, kept, info.site())?;
            let sent = M::send(&mut cx, out, answer);
            Ok(sent.map_err(|cause| info.site().result().error(cause))?)
        });
    }

    /// Not public API: a plain `fn` marked `#[asyncify(trampoline)]`. What it calls may suspend:
    /// then it is left, and called again when the guest is rewound. Its callers are instrumented
    /// as a suspending import's are.
    ///
    /// It is passed the same values again: Binaryen's pass saves every local that a call uses
    /// ("anything that has its final use at the call is still live here", `Asyncify.cpp`). What
    /// they point to may have changed meanwhile, so they should be plain numbers.
    #[doc(hidden)]
    pub fn trampoline<P, M, R, H, F>(&mut self, info: &'static ImportInfo, host: &Arc<H>, body: F)
    where
        P: Params<Values: Concat<M::Params>>,
        M: Answer<R>,
        R: IntoGuest + 'static,
        H: Send + Sync + 'static,
        F: Fn(&H, &mut GuestCx<'_, T>, P::Owned) -> (R, P::Kept) + Clone + Send + Sync + 'static,
    {
        let host = Arc::clone(host);
        self.add_typed::<P, M, R, _>(info, true, move |mut caller, values| {
            let mut cx = GuestCx::calling(&mut caller);
            cycle::enter_trampoline(&mut cx.vm, || info.id())?;
            cx.vm.rt().run.passed = Passed::default();
            let (params, out) = P::Values::split(values);
            let owned = P::own(&mut cx, params, info.site())?;
            let before = cycle::let_through(cx.vm.rt(), true);
            let (answer, kept) = body(&host, &mut cx, owned);
            cycle::let_through(cx.vm.rt(), before);
            if suspend::is_suspending(cx.vm.runtime()) {
                cycle::leave_trampoline(&mut cx.vm)?;
                return Ok(M::Results::zero());
            }
            P::finish(&mut cx, kept, info.site())?;
            let sent = M::send(&mut cx, out, answer);
            let sent = sent.map_err(|cause| info.site().result().error(cause))?;
            cycle::leave_trampoline(&mut cx.vm)?;
            Ok(sent)
        });
    }
}

/// The values that a call was cancelled with.
#[cold]
fn instead<R: Values>((module, name): (&str, &str), values: &[Val]) -> wasmtime::Result<R> {
    R::from_vals(values).ok_or_else(|| bad_answer((module, name), values, R::TYPES).into())
}

/// Values that are not the results of the import's type.
#[cold]
pub(super) fn bad_answer<V: fmt::Display>(
    (module, name): (&str, &str),
    answer: &[Val],
    types: &[V],
) -> Error {
    let types: Vec<_> = types.iter().map(V::to_string).collect();
    let source = format!("it was answered {answer:?}, and its results are ({})", types.join(", "));
    Error::BadValue {
        function: format!("{module}.{name}"),
        parameter: "result".to_owned(),
        source: source.into(),
    }
}

#[cold]
pub(super) fn other_signature((module, name): (&str, &str)) -> Error {
    Error::out_of_step(format!(
        "it was rewound into {}, but another import had suspended",
        Name(&format!("{module}.{name}"))
    ))
}
