//! Runs one script in two worlds, in lockstep.

use std::collections::HashMap;
use std::rc::Rc;

use wasmtime::{
    AnyRef, AsContextMut, Engine, ExternRef, Result, RootScope, Trap, V128, Val, ValType,
};
use wast::core::WastArgCore;
use wast::lexer::Lexer;
use wast::parser::{self, ParseBuffer};
use wast::token::{Id, Span};
use wast::{QuoteWat, Wast, WastArg, WastDirective, WastExecute, WastInvoke, Wat};

use crate::compare::{self, Outcome};
use crate::define::Definition;
use crate::drive::{self, Plan, Way};
use crate::tally::Tally;
use crate::worlds::{Guest, World};

/// An instance in both worlds.
struct Both {
    control: Guest,
    ours: Guest,
    exports: Vec<String>,
}

/// How the script expects an action to end.
#[derive(Clone, Copy)]
enum Expected {
    Anything,
    Values,
    Trap,
    Exhaustion,
    Exception,
    Unlinkable,
}

impl Expected {
    fn fits(self, outcome: &Outcome) -> bool {
        match self {
            Self::Anything => true,
            Self::Values => matches!(outcome, Outcome::Values(_)),
            Self::Trap => matches!(outcome, Outcome::Trap(_)),
            Self::Exhaustion => matches!(outcome, Outcome::Trap(Trap::StackOverflow)),
            Self::Exception => matches!(outcome, Outcome::Exception(_)),
            Self::Unlinkable => matches!(outcome, Outcome::Unlinkable),
        }
    }
}

struct Script<'a> {
    text: &'a str,
    engine: &'a Engine,
    way: Way,
    control: World,
    ours: World,
    current: Option<Rc<Both>>,
    named: HashMap<String, Rc<Both>>,
    registered: HashMap<String, Rc<Both>>,
    last: Option<Rc<Definition>>,
    definitions: HashMap<String, Rc<Definition>>,
    tally: Tally,
    /// Whether actions that end unlike the script says are named, too.
    odd: bool,
    messages: Vec<String>,
}

/// Runs a script. Beside the counts, says each difference.
pub(crate) fn run(
    engine: &Engine,
    way: Way,
    seed: u64,
    odd: bool,
    text: &str,
) -> Result<(Tally, Vec<String>)> {
    let mut script = Script {
        text,
        engine,
        way,
        control: World::new(engine, Plan::new(Way::Control, seed))?,
        ours: World::new(engine, Plan::new(way, seed))?,
        current: None,
        named: HashMap::new(),
        registered: HashMap::new(),
        last: None,
        definitions: HashMap::new(),
        tally: Tally { files: 1, ..Tally::default() },
        odd,
        messages: Vec::new(),
    };
    let mut lexer = Lexer::new(text);
    lexer.allow_confusing_unicode(true);
    let parsed = ParseBuffer::new_with_lexer(lexer);
    match parsed
        .as_ref()
        .map_err(ToString::to_string)
        .and_then(|buffer| parser::parse::<Wast<'_>>(buffer).map_err(|error| error.message()))
    {
        Ok(wast) => wast.directives.into_iter().for_each(|directive| script.directive(directive)),
        Err(error) => script.tally.skip(&format!("the whole file isn't parsed: {error}")),
    }
    script.tally.suspensions = script.ours.store.data().suspensions;
    Ok((script.tally, script.messages))
}

impl Script<'_> {
    fn directive(&mut self, directive: WastDirective<'_>) {
        let span = directive.span();
        match directive {
            WastDirective::Module(mut module) => {
                self.current = None;
                let name = module.name().map(|id| id.name().to_owned());
                if let Some(definition) = self.define(span, &mut module) {
                    self.instantiate(span, name.as_deref(), &definition, Expected::Values);
                }
            }
            WastDirective::ModuleDefinition(mut module) => {
                self.last = self.define(span, &mut module);
                if let (Some(id), Some(definition)) = (module.name(), &self.last) {
                    self.definitions.insert(id.name().to_owned(), definition.clone());
                }
            }
            WastDirective::ModuleInstance { instance, module, .. } => {
                let definition = match module {
                    Some(id) => self.definitions.get(id.name()).cloned(),
                    None => self.last.clone(),
                };
                self.current = None;
                let name = instance.map(|id| id.name().to_owned());
                match definition {
                    Some(definition) => {
                        self.instantiate(span, name.as_deref(), &definition, Expected::Values);
                    }
                    None => self.tally.skip("an action on a module that was skipped"),
                }
            }
            WastDirective::AssertMalformed { mut module, .. }
            | WastDirective::AssertInvalid { mut module, .. }
            | WastDirective::AssertInvalidCustom { mut module, .. }
            | WastDirective::AssertMalformedCustom { mut module, .. } => {
                // Text that is malformed has no bytes.
                if let Ok(wasm) = module.encode() {
                    let _ = self.define_bytes(span, &wasm);
                }
            }
            WastDirective::Register { name, module, .. } => {
                let Some(both) = self.find(module) else {
                    self.tally.skip("an action on a module that was skipped");
                    return;
                };
                self.control.register(name, &both.control, &both.exports);
                self.ours.register(name, &both.ours, &both.exports);
                self.registered.insert(name.to_owned(), both);
            }
            WastDirective::Invoke(invoke) => self.invoke(&invoke, Expected::Anything),
            WastDirective::AssertReturn { exec, .. } => self.execute(span, exec, Expected::Values),
            WastDirective::AssertTrap { exec, .. } => self.execute(span, exec, Expected::Trap),
            WastDirective::AssertException { exec, .. } => {
                self.execute(span, exec, Expected::Exception);
            }
            WastDirective::AssertExhaustion { call, .. } => {
                self.invoke(&call, Expected::Exhaustion);
            }
            WastDirective::AssertUnlinkable { module, .. } => {
                self.execute(span, WastExecute::Wat(module), Expected::Unlinkable);
            }
            WastDirective::AssertSuspension { .. } => self.tally.skip("stack switching"),
            WastDirective::Thread(_) | WastDirective::Wait { .. } => self.tally.skip("threads"),
        }
    }

    fn execute(&mut self, span: Span, exec: WastExecute<'_>, expected: Expected) {
        match exec {
            WastExecute::Invoke(invoke) => self.invoke(&invoke, expected),
            WastExecute::Wat(module) => {
                if let Some(definition) = self.define(span, &mut QuoteWat::Wat(module)) {
                    self.instantiate(span, None, &definition, expected);
                }
            }
            WastExecute::Get { module, global, .. } => {
                let Some(both) = self.find(module) else {
                    self.tally.skip("an action on a module that was skipped");
                    return;
                };
                let control = get(&mut self.control, &both.control, global);
                let ours = get(&mut self.ours, &both.ours, global);
                self.judge(span, global, &control, &ours, expected);
            }
        }
    }

    fn define(&mut self, span: Span, module: &mut QuoteWat<'_>) -> Option<Rc<Definition>> {
        if matches!(module, QuoteWat::Wat(Wat::Component(_)) | QuoteWat::QuoteComponent(..)) {
            self.tally.skip("a component");
            return None;
        }
        let defined = match module.encode() {
            Ok(wasm) => self.define_bytes(span, &wasm),
            Err(error) => Err(format!("not encoded: {}", error.message())),
        };
        defined.map(Rc::new).map_err(|reason| self.tally.skip(&reason)).ok()
    }

    fn define_bytes(&mut self, span: Span, wasm: &[u8]) -> Result<Definition, String> {
        let mut differences = Vec::new();
        let defined =
            Definition::new(self.engine, self.way, wasm, &mut self.tally, &mut differences);
        for difference in differences {
            self.differ(span, &difference);
        }
        defined
    }

    fn instantiate(
        &mut self,
        span: Span,
        name: Option<&str>,
        definition: &Definition,
        expected: Expected,
    ) {
        let a = self.control.instantiate(&definition.plain, None);
        let b = match &definition.ours {
            Some((module, instrumented)) => self.ours.instantiate(module, Some(instrumented)),
            None => self.ours.instantiate(&definition.plain, None),
        };
        let (mut control, mut ours) = (None, None);
        let a = Outcome::of(&mut self.control.store.as_context_mut(), a, |_, guest| {
            control = Some(guest);
            Vec::new()
        });
        let b = Outcome::of(&mut self.ours.store.as_context_mut(), b, |_, guest| {
            ours = Some(guest);
            Vec::new()
        });
        if let (Some(control), Some(ours)) = (control, ours) {
            let both = Rc::new(Both { control, ours, exports: definition.exports.clone() });
            if let Some(name) = name {
                self.named.insert(name.to_owned(), both.clone());
            }
            self.current = Some(both);
        }
        self.judge(span, "instantiation", &a, &b, expected);
    }

    fn invoke(&mut self, invoke: &WastInvoke<'_>, expected: Expected) {
        let Some(both) = self.find(invoke.module) else {
            self.tally.skip("an action on a module that was skipped");
            return;
        };
        self.tally.calls += 1;
        self.tally.driven += u64::from(both.ours.target(invoke.name).is_some());
        let control = call(&mut self.control, &both.control, invoke);
        let ours = call(&mut self.ours, &both.ours, invoke);
        self.judge(invoke.span, invoke.name, &control, &ours, expected);
    }

    fn find(&self, module: Option<Id<'_>>) -> Option<Rc<Both>> {
        match module {
            Some(id) => self.named.get(id.name()).cloned(),
            None => self.current.clone(),
        }
    }

    /// Compares how an action ended, and all that it may have changed.
    fn judge(
        &mut self,
        span: Span,
        what: &str,
        control: &Outcome,
        ours: &Outcome,
        expected: Expected,
    ) {
        if !expected.fits(control) {
            self.tally.odd += 1;
            if self.odd {
                let line = self.line(span);
                self.messages
                    .push(format!("{line}: odd: {what}: the control ended as {control:?}"));
            }
        }
        if !ours.fits(control) {
            self.differ(
                span,
                &format!("{what}: the control ended as {control:?}, ours as {ours:?}"),
            );
        }
        for fault in std::mem::take(&mut self.ours.store.data_mut().faults) {
            self.differ(span, &format!("{what}: {fault}"));
        }
        let log = |world: &mut World| std::mem::take(&mut world.store.data_mut().log);
        let (a, b) = (log(&mut self.control), log(&mut self.ours));
        if a != b {
            self.differ(span, &format!("{what}: the control called {a:?}, ours {b:?}"));
        }
        let mut seen: Vec<Rc<Both>> = Vec::new();
        for both in self.named.values().chain(self.registered.values()).chain(&self.current) {
            if !seen.iter().any(|other| Rc::ptr_eq(other, both)) {
                seen.push(both.clone());
            }
        }
        for both in seen {
            for difference in compare::states(
                (&mut self.control, &both.control),
                (&mut self.ours, &both.ours),
                &both.exports,
            ) {
                self.differ(span, &format!("{what}: {difference}"));
            }
        }
    }

    fn differ(&mut self, span: Span, message: &str) {
        self.tally.differences += 1;
        let line = self.line(span);
        self.messages.push(format!("{line}: {message}"));
    }

    fn line(&self, span: Span) -> usize {
        span.linecol_in(self.text).0 + 1
    }
}

/// Calls an export.
fn call(world: &mut World, guest: &Guest, invoke: &WastInvoke<'_>) -> Outcome {
    world.refresh();
    let mut scope = RootScope::new(&mut world.store);
    let Some(func) = guest.instance.get_func(&mut scope, invoke.name) else {
        return Outcome::Other("no such function".to_owned());
    };
    let ty = func.ty(&scope);
    let args: Option<Vec<_>> =
        ty.params().zip(&invoke.args).map(|(ty, arg)| argument(&mut scope, &ty, arg)).collect();
    let Some(args) = args else { return Outcome::Other("an argument isn't known".to_owned()) };
    let mut results = vec![Val::I32(0); ty.results().len()];
    let ended = match guest.target(invoke.name) {
        Some(target) => drive::drive(scope.as_context_mut(), target, &args, &mut results),
        None => func.call(&mut scope, &args, &mut results),
    };
    Outcome::of(&mut scope.as_context_mut(), ended, |store, ()| {
        results.iter().map(|value| compare::describe(store, value)).collect()
    })
}

/// Reads a global.
fn get(world: &mut World, guest: &Guest, name: &str) -> Outcome {
    let mut scope = RootScope::new(&mut world.store);
    let Some(global) = guest.instance.get_global(&mut scope, name) else {
        return Outcome::Other("no such global".to_owned());
    };
    let value = global.get(&mut scope);
    Outcome::Values(vec![compare::describe(&mut scope.as_context_mut(), &value)])
}

fn argument(mut store: impl AsContextMut, ty: &ValType, arg: &WastArg<'_>) -> Option<Val> {
    let WastArg::Core(arg) = arg else { return None };
    Some(match arg {
        WastArgCore::I32(value) => Val::I32(*value),
        WastArgCore::I64(value) => Val::I64(*value),
        WastArgCore::F32(value) => Val::F32(value.bits),
        WastArgCore::F64(value) => Val::F64(value.bits),
        WastArgCore::V128(value) => Val::V128(V128::from(u128::from_le_bytes(value.to_le_bytes()))),
        WastArgCore::RefNull(_) => Val::null_ref(ty.as_ref()?.heap_type()),
        WastArgCore::RefExtern(value) => {
            Val::ExternRef(Some(ExternRef::new(&mut store, *value).ok()?))
        }
        WastArgCore::RefHost(value) => {
            let value = ExternRef::new(&mut store, *value).ok()?;
            Val::AnyRef(Some(AnyRef::convert_extern(&mut store, value).ok()?))
        }
    })
}
