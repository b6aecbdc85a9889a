//! Promises that are rejected and that nobody handles.
//!
//! QuickJS tells them to a function that its embedder sets. The glue of the package has no export
//! to set it, so the host does what `JS_SetHostPromiseRejectionTracker` would: it writes the
//! function's entry of the table into the runtime. Where that is, is found and verified there.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use asyncify::wasmtime::{AsContextMut, Caller, Extern, Func, Memory, Ref, TypedFunc};
use asyncify::{Error, GuestCx, Result, State};

use crate::js::{Context, Runtime, Value, name};

/// The name that the module's table is exported by.
pub(crate) const TABLE: &str = "table";

/// What was rejected in any runtime and is not handled yet.
#[derive(Clone, Default)]
pub(crate) struct Rejections(Arc<Mutex<Vec<Rejection>>>);

struct Rejection {
    context: u32,
    promise: i64,
    reason: Value,
}

/// The guest's own functions and memory, as the tracker needs them.
#[derive(Clone)]
struct Tools {
    memory: Memory,
    duplicate: TypedFunc<(u32, u32), u32>,
    free: TypedFunc<(u32, u32), ()>,
    /// Room for one `JSValue`.
    room: u32,
}

impl Rejections {
    fn all(&self) -> MutexGuard<'_, Vec<Rejection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reasons of those that a script has left, which are the caller's to free.
    pub(crate) fn take(&self, context: Context) -> Vec<Value> {
        let mine = |rejection: &mut Rejection| rejection.context == context.address();
        self.all().extract_if(.., mine).map(|rejection| rejection.reason).collect()
    }

    /// Puts the tracker into the guest's table: its entry there.
    pub(crate) fn track<T: Send + 'static>(&self, cx: &mut GuestCx<'_, T>) -> Result<u32> {
        let room = cx.place(&[0; 8])?.ptr;
        let (memory, table) = (cx.export("memory"), cx.export(TABLE));
        let [duplicate, free] = [name::DUP_VALUE, name::FREE_VALUE].map(|name| cx.export(name));
        let mut store = cx.store()?;
        let tools = (|| {
            let memory = memory?.into_memory()?;
            let duplicate = duplicate?.into_func()?.typed(&store).ok()?;
            let free = free?.into_func()?.typed(&store).ok()?;
            Some(Tools { memory, duplicate, free, room })
        })();
        let tools = tools.ok_or_else(otherwise)?;
        let table = table.and_then(Extern::into_table).ok_or_else(otherwise)?;
        let this = self.clone();
        // `JSHostPromiseRejectionTracker`. A `JSValue` is a number of 64 bits here.
        let tracker = Func::wrap(
            &mut store,
            move |mut caller: Caller<'_, State<T>>,
                  context: u32,
                  promise: i64,
                  reason: i64,
                  is_handled: u32,
                  _opaque: u32| {
                if is_handled == 0 {
                    this.add(&mut caller, &tools, (context, promise, reason))
                } else {
                    this.remove(&mut caller, &tools, (context, promise))
                }
            },
        );
        let entry = table.grow(&mut store, 1, Ref::Func(Some(tracker)));
        let entry = entry.map_err(|error| Error::Config(error.to_string()))?;
        u32::try_from(entry).map_err(|_| otherwise())
    }

    fn add(
        &self,
        mut store: impl AsContextMut,
        tools: &Tools,
        (context, promise, reason): (u32, i64, i64),
    ) -> asyncify::wasmtime::Result<()> {
        tools.memory.write(&mut store, tools.room as usize, &reason.to_le_bytes())?;
        let reason = tools.duplicate.call(&mut store, (context, tools.room))?;
        self.all().push(Rejection { context, promise, reason: Value::new(reason) });
        Ok(())
    }

    fn remove(
        &self,
        store: impl AsContextMut,
        tools: &Tools,
        (context, promise): (u32, i64),
    ) -> asyncify::wasmtime::Result<()> {
        let mut all = self.all();
        // The last: an earlier one may have been a promise that is gone, in the same place.
        let last = all.iter().rposition(|rejection| rejection.promise == promise);
        let Some(rejection) = last.map(|last| all.remove(last)) else { return Ok(()) };
        drop(all);
        tools.free.call(store, (context, rejection.reason.address()))
    }
}

/// Lets a runtime tell the tracker.
pub(crate) fn set<T: Send + 'static>(
    cx: &mut GuestCx<'_, T>,
    runtime: Runtime,
    tracker: u32,
) -> Result<()> {
    const WORD: u32 = 4;
    const WORDS: u32 = 96;
    let runtime = runtime.address();
    let words = |cx: &GuestCx<'_, T>| -> Result<Vec<u32>> {
        let bytes = cx.read(runtime, WORDS * WORD).map_err(|_| otherwise())?;
        Ok(bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect())
    };
    // The interrupt handler stands two words before it, and there is an export to set that.
    let before = words(cx)?;
    cx.call::<_, ()>(name::ENABLE_INTERRUPT_HANDLER, runtime)?;
    let after = words(cx)?;
    cx.call::<_, ()>(name::DISABLE_INTERRUPT_HANDLER, runtime)?;
    let handler = before.iter().zip(&after).position(|(before, after)| before != after);
    let handler = handler.and_then(|word| u32::try_from(word).ok()).ok_or_else(otherwise)?;
    // `host_promise_rejection_tracker`, its argument, and the list of jobs, which is empty: both
    // its words point to itself.
    let field = handler + 2;
    let jobs = runtime + (field + 2) * WORD;
    match after.get(field as usize..field as usize + 4) {
        Some([0, 0, next, last]) if [*next, *last] == [jobs, jobs] => {}
        _ => return Err(otherwise()),
    }
    cx.write(runtime + field * WORD, &tracker.to_le_bytes()).map_err(|_| otherwise())
}

fn otherwise() -> Error {
    Error::Config("this is another build of QuickJS than the example was written for".to_owned())
}
