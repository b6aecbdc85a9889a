//! Imports whose values are dynamic: defined without the macro, from a type that is known at run
//! time.

use std::sync::Arc;

use wasmtime::{Caller, FuncType, Val, ValType};

use super::dispatch::{bad_answer, other_signature};
use super::info::ImportResult;
use super::list::AsyncImports;
use super::task::{DynTask, take_back};
use crate::cx::GuestCx;
use crate::cycle::{self, Entered};
use crate::error::{Error, Result, Trap};
use crate::parts::machine::Kind;
use crate::parts::memory::OutOfBounds;
use crate::parts::passed::Passed;
use crate::store::State;
use crate::suspend;

impl<T: Send + 'static> AsyncImports<T> {
    /// Adds an import with dynamic values. It may suspend, so its callers must be instrumented; see
    /// [`define_plain`](Self::define_plain) for one that never waits.
    ///
    /// `body` is handed the guest and the arguments; it runs in state 0, on the guest's stack.
    /// Values of another number or type than `ty` says end the call. So does an error: one of
    /// [`GuestCx::read`] or [`GuestCx::write`] as [`Error::BadPointer`], any other as
    /// [`Error::Host`].
    ///
    /// ```
    /// use asyncify::wasmtime::{Engine, FuncType};
    /// use asyncify::{AsyncImports, Guest, ImportResult, Module};
    /// # use asyncify::wasmtime::{Val, ValType};
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/guests/yielding.wasm");
    /// # async fn yield_now() { tokio::task::yield_now().await }
    /// # futures::executor::block_on(async {
    /// let engine = Engine::default();
    /// # let module = Module::from_file(&engine, GUEST)?;
    ///
    /// let mut imports = AsyncImports::new();
    /// imports.define("env", "yield_now", FuncType::new(&engine, [], []), |_, _| {
    ///     Ok(ImportResult::wait(async {
    ///         yield_now().await;
    ///         Ok(vec![])
    ///     }))
    /// });
    /// # imports.define_plain("env", "pause", FuncType::new(&engine, [], [ValType::I32]), |_, _| Ok(vec![Val::I32(3)]));
    /// let guest = Guest::builder(&module).async_imports(imports).instantiate().await?;
    /// guest.all_exports().typed::<(u32,), (u32,)>("spin")?.call((2,)).await?;
    /// assert_eq!(guest.stats().await?.suspensions, 2);
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn define<F>(&mut self, module: &str, name: &str, ty: FuncType, body: F) -> &mut Self
    where
        F: Fn(&mut GuestCx<'_, T>, &[Val]) -> Result<ImportResult, Trap> + Send + Sync + 'static,
    {
        self.add_dynamic(module, name, true, ty, move |cx, import, params| {
            suspending(cx, import, params, &body)
        })
    }

    /// Adds an import with dynamic values that answers at once: its callers need not be
    /// instrumented. Otherwise as [`define`](Self::define).
    ///
    /// ```
    /// use asyncify::wasmtime::{Engine, FuncType, Val, ValType};
    /// use asyncify::{AsyncImports, Guest, Module};
    ///
    /// # futures::executor::block_on(async {
    /// let engine = Engine::default();
    /// let module = Module::new(&engine, r#"(module
    ///     (import "env" "length" (func $length (param i32) (result i32)))
    ///     (memory (export "memory") 1) (data (i32.const 16) "Hello\00")
    ///     (func (export "run") (param i32) (result i32) (call $length (local.get 0))))"#)?;
    ///
    /// let mut imports = AsyncImports::new();
    /// let ty = FuncType::new(&engine, [ValType::I32], [ValType::I32]);
    /// imports.define_plain("env", "length", ty, |cx, params| {
    ///     let text = cx.read(params[0].unwrap_i32().cast_unsigned(), 16)?;
    ///     let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    ///     Ok(vec![Val::I32(end.try_into()?)])
    /// });
    /// assert_eq!(imports.suspending_imports().count(), 0);
    ///
    /// let guest = Guest::builder(&module).async_imports(imports).instantiate().await?;
    /// let run = guest.all_exports().typed::<(u32,), (u32,)>("run")?;
    /// assert_eq!(run.call((16,)).await?, (5,));
    /// assert_eq!(
    ///     run.call((0xffff,)).await.unwrap_err().to_string(),
    ///     "`env.length`: parameter `0` is 16 bytes at 0xffff, but the memory ends at 0x10000"
    /// );
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn define_plain<F>(&mut self, module: &str, name: &str, ty: FuncType, body: F) -> &mut Self
    where
        F: Fn(&mut GuestCx<'_, T>, &[Val]) -> Result<Vec<Val>, Trap> + Send + Sync + 'static,
    {
        self.add_dynamic(module, name, false, ty, move |cx, import, params| {
            cycle::enter_plain(cx.vm.runtime(), Kind::Plain, || (&import.0, &import.1))?;
            cx.vm.rt().run.passed = Passed::default();
            body(cx, params).map(Some).map_err(|trap| failed(import, params, trap))
        })
    }

    /// Adds an import that `answer` answers, unless it suspends.
    fn add_dynamic<F>(
        &mut self,
        module: &str,
        name: &str,
        suspending: bool,
        ty: FuncType,
        answer: F,
    ) -> &mut Self
    where
        F: Fn(&mut GuestCx<'_, T>, &Name, &[Val]) -> Result<Option<Vec<Val>>>
            + Send
            + Sync
            + 'static,
    {
        let import = Arc::new((module.to_owned(), name.to_owned()));
        let answer = Arc::new(answer);
        self.add(module, name, suspending, move |linker, module, name| {
            let (import, answer) = (Arc::clone(&import), Arc::clone(&answer));
            let types: Vec<_> = ty.results().collect();
            let call =
                move |mut caller: Caller<'_, State<T>>, params: &[Val], results: &mut [Val]| {
                    if suspending {
                        suspend::note_caller(&mut caller);
                    }
                    let mut cx = GuestCx::calling(&mut caller);
                    match answer(&mut cx, &import, params)? {
                        Some(answer) => give(&cx, &import, &types, results, &answer)?,
                        None => results.clone_from_slice(&zeros(types.iter().cloned())?),
                    }
                    Ok(())
                };
            linker.func_new(module, name, ty.clone(), call).map(drop)
        })
    }
}

/// An import's module and name.
type Name = Arc<(String, String)>;

/// A suspending import is entered: its results, unless it suspends.
fn suspending<T, F>(
    cx: &mut GuestCx<'_, T>,
    import: &Name,
    params: &[Val],
    body: &F,
) -> Result<Option<Vec<Val>>>
where
    T: Send + 'static,
    F: Fn(&mut GuestCx<'_, T>, &[Val]) -> Result<ImportResult, Trap>,
{
    match cycle::enter_suspending(&mut cx.vm, || (&import.0, &import.1))? {
        Entered::Called => match body(cx, params).map_err(|trap| failed(import, params, trap))? {
            ImportResult::Sync(results) => Ok(Some(results)),
            ImportResult::Async(future) => {
                let mut task = DynTask::new(import, future);
                let rt = cx.vm.rt();
                match task.start(rt.run.waker.waker(), &rt.holder) {
                    Some(answer) => answer.map(Some).map_err(Trap::into_error),
                    None => {
                        cycle::suspend_in(&mut cx.vm, Box::pin(task))?;
                        Ok(None)
                    }
                }
            }
        },
        Entered::Resumed(resuming) => {
            if let Some(values) = resuming.instead {
                return Ok(Some(values.into_vec()));
            }
            let task = take_back::<DynTask>(resuming.pending);
            let answer = task.and_then(|mut task| task.answer());
            let answer = answer.ok_or_else(|| other_signature((&import.0, &import.1)))?;
            answer.map(Some).map_err(Trap::into_error)
        }
    }
}

/// What a body's error means: a range that its memory does not have is told as a parameter's.
#[cold]
fn failed(import: &Name, params: &[Val], trap: Trap) -> Error {
    let OutOfBounds { ptr, len, memory_size } = match trap.downcast() {
        Ok(range) => range,
        Err(trap) => return trap.into_error(),
    };
    let parameter = address(params, ptr, len);
    Error::BadPointer {
        function: format!("{}.{}", import.0, import.1),
        parameter: parameter.map_or_else(|| "pointer".to_owned(), |position| position.to_string()),
        ptr,
        len,
        memory_size,
    }
}

/// Which parameter the address is: best one that the length follows.
fn address(params: &[Val], ptr: u64, len: u64) -> Option<usize> {
    let is = |value: &Val, number| match value {
        Val::I32(value) => u64::from(value.cast_unsigned()) == number,
        Val::I64(value) => value.cast_unsigned() == number,
        _ => false,
    };
    let with_length = params.array_windows().position(|[at, of]| is(at, ptr) && is(of, len));
    with_length.or_else(|| params.iter().position(|value| is(value, ptr)))
}

/// Hands dynamic results to the guest.
fn give<T: Send + 'static>(
    cx: &GuestCx<'_, T>,
    (module, name): &(String, String),
    types: &[ValType],
    results: &mut [Val],
    answer: &[Val],
) -> Result<()> {
    let fits = |(val, ty): (&Val, &ValType)| val.matches_ty(&cx.vm.store, ty).unwrap_or(false);
    if answer.len() != types.len() || !answer.iter().zip(types).all(fits) {
        return Err(bad_answer((module, name), answer, types));
    }
    results.clone_from_slice(answer);
    Ok(())
}

/// A zero of each type.
pub(crate) fn zeros(types: impl Iterator<Item = ValType>) -> wasmtime::Result<Vec<Val>> {
    let zero = |ty: ValType| {
        Val::default_for_ty(&ty)
            .ok_or_else(|| wasmtime::Error::msg(format!("a {ty} has no default value")))
    };
    types.map(zero).collect()
}
