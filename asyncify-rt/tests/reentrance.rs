//! A guest that is called by its own imports: at once, later, and through trampolines.

mod flight;

use std::sync::{Arc, Mutex};

use asyncify_rt::private::{Direct, ImportInfo, ParamInfo, Val as Plain};
use asyncify_rt::{
    AsyncImports, Builder, Call, Error, Guest, GuestCx, ImportResult, Module, Place, StackPolicy,
    Trap, WeakGuest,
};
use flight::{Gates, block_on, i32, poll, stack_pointer, w};
use wasmtime::{Config, Engine, Val};

type Two = (Plain<u32>, (Plain<u32>, ()));
type OwnedTwo = (u32, (u32, ()));
type Answer = Result<u32, Trap>;

const PARAMS: &[ParamInfo] =
    &[ParamInfo::val::<u32>("entry", "u32"), ParamInfo::val::<u32>("x", "u32")];

const fn info(name: &'static str) -> ImportInfo {
    ImportInfo::new::<Direct, Answer>("env", name, false, PARAMS, "u32", "")
}

static INVOKE: ImportInfo = info("invoke_ii");
static TRY: ImportInfo = info("try_ii");
static CALL: ImportInfo = info("call_ii");

/// What the imports were entered with.
#[derive(Default)]
struct Host {
    entered: Mutex<Vec<(&'static str, u32, u32)>>,
}

impl Host {
    fn enter(
        &self,
        import: &'static str,
        cx: &mut GuestCx<'_, ()>,
        (entry, (x, ())): OwnedTwo,
    ) -> Result<u32, Error> {
        self.entered.lock().unwrap().push((import, entry, x));
        let (answer,) = cx.call_table::<(u32,), (u32,)>("table", entry, (x,))?;
        Ok(answer)
    }

    fn entered(&self) -> Vec<(&'static str, u32, u32)> {
        std::mem::take(&mut self.entered.lock().unwrap())
    }
}

type Kept = ((), ((), ()));

const KEPT: Kept = ((), ((), ()));

fn imports(engine: &Engine, gates: &Gates, host: &Arc<Host>) -> AsyncImports<()> {
    let mut imports = flight::waits(engine, gates);
    imports.trampoline::<Two, Direct, Answer, _, _>(&INVOKE, host, |host: &Host, cx, args| {
        (host.enter("invoke", cx, args).map_err(Trap::from), KEPT)
    });
    imports.trampoline::<Two, Direct, Answer, _, _>(&TRY, host, |host: &Host, cx, args| {
        (Ok(host.enter("try", cx, args).unwrap_or(u32::MAX)), KEPT)
    });
    imports.plain_with_guest::<Two, Direct, Answer, _, _>(&CALL, host, |host: &Host, cx, args| {
        (host.enter("call", cx, args).map_err(Trap::from), KEPT)
    });
    let ty = wasmtime::FuncType::new(engine, [wasmtime::ValType::I32], [wasmtime::ValType::I32]);
    imports.define("env", "again", ty, |cx, params| {
        let ask = cx.guest()?.all_exports().function("ask")?;
        let params = params.to_vec();
        Ok(ImportResult::wait(async move { Ok(ask.call(params).await?) }))
    });
    imports
}

struct Rig {
    guest: Guest,
    module: Module,
    gates: Gates,
    host: Arc<Host>,
}

/// Regions need a place. Without them the window is borrowed.
fn place(policy: StackPolicy) -> Place {
    if policy == StackPolicy::Separate { Place::Grow } else { Place::Auto }
}

fn rig(configure: impl FnOnce(Builder<()>) -> Builder<()>) -> Rig {
    rig_on(&Engine::default(), configure)
}

fn rig_on(engine: &Engine, configure: impl FnOnce(Builder<()>) -> Builder<()>) -> Rig {
    let (gates, host) = (Gates::default(), Arc::default());
    let module = flight::module(engine, "trampoline.wasm");
    let builder = Guest::builder(&module).async_imports(imports(engine, &gates, &host));
    let guest = block_on(configure(builder).instantiate()).unwrap();
    Rig { guest, module, gates, host }
}

impl Rig {
    fn call(&self, name: &str, args: &[u32]) -> Call<Vec<Val>> {
        let args: Vec<_> = args.iter().copied().map(i32).collect();
        self.guest.all_exports().function(name).unwrap().call(args)
    }

    /// Opens gates, the youngest first, until the call has ended.
    fn finish(&self, mut call: Call<Vec<Val>>) -> Result<u32, Error> {
        loop {
            if let std::task::Poll::Ready(answer) = poll(&mut call) {
                return answer.map(|answer| answer[0].unwrap_i32().cast_unsigned());
            }
            if let Some(id) = self.gates.waiting().last() {
                self.gates.open(*id);
            }
        }
    }

    fn ask(&self, name: &str, args: &[u32]) -> Result<u32, Error> {
        self.finish(self.call(name, args))
    }
}

#[test]
fn an_async_import_calls_its_guest() {
    for policy in [StackPolicy::Separate, StackPolicy::Copied] {
        let rig = rig(|builder| builder.stack_policy(policy).place(place(policy)));
        let calls: Vec<_> = (1..20).map(|x| (x, rig.call("reenter", &[x]))).collect();
        for (x, call) in calls {
            assert_eq!(rig.finish(call).unwrap(), w(x) + 2 * x);
        }
        let stats = block_on(rig.guest.stats()).unwrap();
        assert_eq!(stats.parked_calls, 0);
        // The call of the import, and the one that waits for it.
        assert_eq!(stats.most_parked_calls, 2);
    }
}

#[test]
fn dropping_the_outer_call_drops_the_inner_one() {
    let rig = rig(|builder| builder);
    let mut call = rig.call("reenter", &[1]);
    assert!(poll(&mut call).is_pending() && poll(&mut call).is_pending());
    assert_eq!(block_on(rig.guest.stats()).unwrap().parked_calls, 2);
    drop(call);
    assert_eq!(rig.gates.dropped(), 1);
    assert_eq!(block_on(rig.guest.stats()).unwrap().parked_calls, 0);
    assert_eq!(rig.ask("reenter", &[4]).unwrap(), w(4) + 8);
}

#[test]
fn a_plain_import_calls_a_plain_export() {
    let rig = rig(|builder| builder);
    assert_eq!(rig.ask("alternate", &[21]).unwrap(), 42);
    assert_eq!(rig.host.entered(), [("call", 2, 21)]);
}

#[test]
fn a_host_frame_that_cannot_be_unwound_is_told_and_nothing_runs_twice() {
    let rig = rig(|builder| builder);
    let base = stack_pointer(&rig.guest, &rig.module);
    let mut parked = rig.call("ask", &[3]);
    assert!(poll(&mut parked).is_pending());
    for (name, args) in [("outside", vec![1]), ("invoke", vec![4, 1])] {
        let error = rig.ask(name, &args).unwrap_err();
        assert!(matches!(&error, Error::HostFrame { import } if import == "env.wait"), "{error}");
        let entered = rig.host.entered();
        assert_eq!(entered.iter().filter(|(import, ..)| *import == "call").count(), 1);
    }
    // From the host itself there is a host frame too, also where a trampoline is between.
    for name in ["ask", "nested"] {
        let called = rig.guest.with(|cx| cx.call::<u32, u32>(name, 2));
        let error = block_on(called).unwrap().unwrap_err();
        assert!(matches!(error, Error::HostFrame { .. }), "{error}");
    }
    assert!(!block_on(rig.guest.is_poisoned()).unwrap());
    assert_eq!(rig.finish(parked).unwrap(), w(3) + 3);
    assert_eq!(stack_pointer(&rig.guest, &rig.module), base);
}

#[test]
fn a_suspension_tunnels_through_trampolines_to_any_depth() {
    // Host frames take more of the thread's stack than the guest's, much more without optimization.
    let mut config = Config::new();
    config.max_wasm_stack(2 << 20);
    let engine = Engine::new(&config).unwrap();
    let thread = std::thread::Builder::new().stack_size(8 << 20);
    thread.spawn(move || tunnel(&engine)).unwrap().join().unwrap();
}

fn tunnel(engine: &Engine) {
    for policy in [StackPolicy::Separate, StackPolicy::Copied] {
        let rig = rig_on(engine, |builder| builder.stack_policy(policy).place(place(policy)));
        for depth in [0, 1, 2, 100] {
            assert_eq!(rig.ask("nested", &[depth]).unwrap(), w(5) + depth * (depth + 1) / 2);
            let entered = rig.host.entered();
            // Each was left once, and called once more with the same arguments.
            let once: Vec<_> = (0..depth).rev().map(|x| ("invoke", 1, x)).collect();
            assert_eq!(entered, [once.clone(), once].concat());
        }
        let mut calls: Vec<_> =
            (1..10).map(|depth| (depth, rig.call("nested", &[depth]))).collect();
        for (_, call) in &mut calls {
            assert!(poll(call).is_pending());
        }
        for (depth, call) in calls.into_iter().rev() {
            assert_eq!(rig.finish(call).unwrap(), w(5) + depth * (depth + 1) / 2);
        }
    }
}

#[test]
fn the_frames_beyond_a_trampoline_are_looked_at_too() {
    let rig = rig(Builder::check_frames);
    assert_eq!(rig.ask("nested", &[2]).unwrap(), w(5) + 3);
    let mut call = rig.call("ask", &[3]);
    assert!(poll(&mut call).is_pending());
    assert_eq!(rig.finish(call).unwrap(), w(3) + 3);
}

/// Binaryen saves each local that a call uses, so the values are the same when it is called again,
/// wherever they came from.
#[test]
fn a_trampoline_is_given_the_same_arguments_again() {
    let rig = rig(|builder| builder);
    for count in 1..4 {
        let mut call = rig.call("computed", &[100]);
        assert!(poll(&mut call).is_pending());
        let change = |to: u32| rig.guest.with(move |cx| cx.write(16, &to.to_le_bytes()));
        block_on(change(77)).unwrap().unwrap();
        assert_eq!(rig.finish(call).unwrap(), w(count) + count + 100);
        block_on(change(0)).unwrap().unwrap();
        assert_eq!(rig.host.entered(), [("invoke", 0, count); 2]);
    }
}

#[test]
fn trampolines_in_a_row_each_wait_twice() {
    let rig = rig(|builder| builder);
    let expected = (w(1) + w(2)).wrapping_sub(w(3) + w(4));
    assert_eq!(rig.ask("in_a_row", &[1]).unwrap(), expected);
}

#[test]
fn a_trampoline_may_answer_for_a_failure() {
    let rig = rig(Builder::trap_keeps_guest);
    let base = stack_pointer(&rig.guest, &rig.module);
    assert_eq!(rig.ask("try", &[3, 1]).unwrap(), u32::MAX);
    // Through a suspension it does not see one.
    assert_eq!(rig.ask("try", &[0, 1]).unwrap(), w(1) + 1);
    assert_eq!(rig.ask("try", &[9, 1]).unwrap(), u32::MAX);
    assert_eq!(stack_pointer(&rig.guest, &rig.module), base);

    let error = rig.ask("invoke", &[3, 1]).unwrap_err();
    assert!(matches!(error, Error::Trap { .. }), "{error}");
    assert_eq!(stack_pointer(&rig.guest, &rig.module), base);
}

#[test]
fn a_trap_below_a_trampoline_poisons_by_default() {
    let rig = rig(|builder| builder);
    assert_eq!(rig.ask("try", &[3, 1]).unwrap(), u32::MAX);
    assert!(block_on(rig.guest.is_poisoned()).unwrap());
}

#[test]
fn trampolines_are_among_what_the_pass_is_told() {
    let (engine, host) = (Engine::default(), Arc::default());
    let args = imports(&engine, &Gates::default(), &host).wasm_opt_args();
    let list = "env.wait,env.invoke_ii,env.try_ii,env.again";
    assert_eq!(args, format!("--pass-arg=asyncify-imports@{list}"));
}

/// A guest whose `again` uses the guest in a way that would wait for itself.
fn blocking(body: fn(WeakGuest) -> ImportResult) -> Error {
    let (engine, gates, host) = (Engine::default(), Gates::default(), Arc::default());
    let module = flight::module(&engine, "trampoline.wasm");
    let guest: Arc<Mutex<Option<WeakGuest>>> = Arc::default();
    let slot = Arc::clone(&guest);
    let mut linked = imports(&engine, &gates, &host);
    linked = {
        let mut others = flight::waits(&engine, &gates);
        drop(linked);
        for (info, name) in [(&INVOKE, "invoke"), (&TRY, "try"), (&CALL, "call")] {
            others.plain_with_guest::<Two, Direct, Answer, _, _>(
                info,
                &host,
                move |host, cx, args| (host.enter(name, cx, args).map_err(Trap::from), KEPT),
            );
        }
        flight::unary(&engine, &mut others, "again", move |_| {
            body(slot.lock().unwrap().clone().unwrap())
        });
        others
    };
    let made = block_on(Guest::builder(&module).async_imports(linked).instantiate()).unwrap();
    *guest.lock().unwrap() = Some(made.downgrade());
    let reenter = made.all_exports().function("reenter").unwrap();
    let error = block_on(reenter.call([i32(1)])).unwrap_err();
    // It was told, and the guest is as good as before.
    gates.open_all();
    let ask = made.all_exports().function("ask").unwrap();
    assert_eq!(block_on(ask.call([i32(2)])).unwrap()[0].unwrap_i32(), 9);
    error
}

fn ask(guest: &WeakGuest) -> Call<Vec<Val>> {
    guest.upgrade().unwrap().all_exports().function("ask").unwrap().call([i32(1)])
}

#[test]
fn blocking_on_the_guest_inside_its_import_is_told() {
    let at_once = blocking(|guest| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let answer = runtime.block_on(ask(&guest));
        ImportResult::wait(async move { Ok(answer?) })
    });
    assert!(matches!(at_once, Error::Reentered), "{at_once}");
    // Inside the future, it is told from a future that merely asks.
    let inside = blocking(|guest| {
        ImportResult::wait(async move {
            let ask = ask(&guest);
            let runtime = tokio::runtime::Builder::new_current_thread().build()?;
            Ok(runtime.block_on(ask)?)
        })
    });
    assert!(matches!(inside, Error::Reentered), "{inside}");
    let tried = blocking(|guest| {
        let tried = guest.upgrade().unwrap().try_with(|_| ());
        ImportResult::wait(async move {
            tried?;
            Ok(vec![i32(0)])
        })
    });
    assert!(matches!(tried, Error::Reentered), "{tried}");
}
