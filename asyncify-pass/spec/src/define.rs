//! Makes of a module's bytes what both worlds instantiate.

use std::panic::{self, AssertUnwindSafe};

use asyncify_pass::{Error, Instrumented, Pass, Yields};
use wasmtime::{Engine, Module};

use crate::drive::Way;
use crate::expose;
use crate::tally::Tally;
use crate::worlds::{self, PRINTS};

/// A module, compiled for both worlds.
pub(crate) struct Definition {
    pub(crate) plain: Module,
    /// None where the pass refuses the module: then ours runs the plain one, too.
    pub(crate) ours: Option<(Module, Instrumented)>,
    /// The names of the plain module's exports.
    pub(crate) exports: Vec<String>,
}

impl Definition {
    /// Compiles a module. `Err` says why there is none; differences are added.
    pub(crate) fn new(
        engine: &Engine,
        way: Way,
        wasm: &[u8],
        tally: &mut Tally,
        differences: &mut Vec<String>,
    ) -> Result<Self, String> {
        if let Err(error) = Module::validate(engine, wasm) {
            tally.invalid += 1;
            match instrument(way, wasm) {
                Ok(Some(_)) => {
                    differences.push(format!("an invalid module was instrumented: {error:#}"));
                }
                Err(Refusal::Panic) => differences.push("the pass panicked".to_owned()),
                Ok(None) | Err(Refusal::Unsupported(_) | Refusal::Invalid(_)) => {}
            }
            return Err(format!("not valid for the engine: {error:#}"));
        }
        tally.modules += 1;
        let (wasm, exports) = expose::expose(wasm).map_err(|error| error.to_string())?;
        let plain = Module::new(engine, &wasm)
            .map_err(|error| format!("not compiled by the engine: {}", error.root_cause()))?;
        let instrumented = match instrument(way, &wasm) {
            Ok(instrumented) => instrumented,
            Err(Refusal::Unsupported(reason)) => {
                tally.refuse(&reason);
                None
            }
            Err(Refusal::Invalid(reason)) => {
                if ["enabled", "proposal", "feature"].iter().any(|word| reason.contains(word)) {
                    tally.refuse(&reason);
                } else {
                    differences.push(format!("a valid module is invalid for the pass: {reason}"));
                }
                None
            }
            Err(Refusal::Panic) => {
                differences.push("the pass panicked".to_owned());
                None
            }
        };
        let ours =
            instrumented.and_then(|instrumented| match Module::new(engine, instrumented.wasm()) {
                Ok(module) => {
                    differences.extend(seams(&plain, &module));
                    Some((module, instrumented))
                }
                Err(error) => {
                    differences.push(format!("the pass's output is invalid: {error:#}"));
                    None
                }
            });
        Ok(Self { plain, ours, exports })
    }
}

enum Refusal {
    Unsupported(String),
    Invalid(String),
    Panic,
}

/// Runs the pass, unless there is none.
fn instrument(way: Way, wasm: &[u8]) -> Result<Option<Instrumented>, Refusal> {
    let mut pass = Pass::new().shared_tables();
    pass = match way {
        Way::Control => return Ok(None),
        Way::Heads => pass.yields(Yields::Heads),
        Way::Everywhere | Way::Random => pass.yields(Yields::Everywhere),
        Way::Imports => {
            PRINTS.iter().fold(pass, |pass, (name, _)| pass.suspending("spectest", name))
        }
    };
    match panic::catch_unwind(AssertUnwindSafe(|| pass.run(wasm))) {
        Ok(Ok(instrumented)) => Ok(Some(instrumented)),
        Ok(Err(error @ Error::Invalid { .. })) => Err(Refusal::Invalid(error.to_string())),
        Ok(Err(error)) => Err(Refusal::Unsupported(error.to_string())),
        Err(_) => Err(Refusal::Panic),
    }
}

/// What differs in the imports and exports the plain module has.
fn seams(plain: &Module, ours: &Module) -> Vec<String> {
    let mut differences = Vec::new();
    let (mut a, mut b) = (plain.imports(), ours.imports());
    if a.len() != b.len() {
        differences.push(format!("{} imports became {}", a.len(), b.len()));
    }
    for (a, b) in a.by_ref().zip(b.by_ref()) {
        let same =
            a.module() == b.module() && a.name() == b.name() && worlds::same_type(&a.ty(), &b.ty());
        if !same {
            let (module, name) = (a.module(), a.name());
            differences.push(format!("import `{module}.{name}` is another, or its type is"));
        }
    }
    for export in plain.exports() {
        match ours.get_export(export.name()) {
            Some(ty) if worlds::same_type(&export.ty(), &ty) => {}
            Some(_) => differences.push(format!("export `{}` has another type", export.name())),
            None => differences.push(format!("export `{}` is gone", export.name())),
        }
    }
    differences
}
