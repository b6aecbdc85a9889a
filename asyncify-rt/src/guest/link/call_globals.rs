//! The globals that are kept for each call, by the names that the user gave.

use crate::error::{Error, Name, Result};
use crate::module::{Findings, GlobalKind, MutableGlobal};

/// The exports of the globals with these names. `stack_pointer` is the export of that one.
pub(crate) fn find(
    findings: &Findings,
    names: &[String],
    stack_pointer: Option<&str>,
) -> Result<Vec<String>> {
    names.iter().map(|name| find_one(findings, name, stack_pointer)).collect()
}

fn find_one(findings: &Findings, name: &str, stack_pointer: Option<&str>) -> Result<String> {
    let is_asyncify = |export: &str| {
        let asyncify = findings.asyncify();
        asyncify.is_some_and(|found| export == found.state() || export == found.data())
    };
    let all = || findings.mutable_globals().iter();
    let export = findings.global_export(name);
    let Some(global) = all().find(|global| Some(global.export()) == export) else {
        let own = all().filter(|global| !is_asyncify(global.export()));
        let present = own.map(|global| readable(findings, global)).collect();
        return Err(Error::NoSuchGlobal { name: name.to_owned(), present });
    };
    let reason = match global.kind() {
        _ if is_asyncify(global.export()) => {
            "is Asyncify's own, which the host writes; leave it out"
        }
        _ if Some(global.export()) == stack_pointer => {
            "is the stack pointer, which each call has its own of in any case; leave it out"
        }
        GlobalKind::Ref => {
            "holds a reference, and numbers alone are kept for each call; keep it with `Builder::call_state`"
        }
        _ => return Ok(global.export().to_owned()),
    };
    Err(Error::Config(format!("the global {} {reason}", Name(name))))
}

/// The name that a user knows a global by.
fn readable(findings: &Findings, global: &MutableGlobal) -> String {
    let added = findings.added_exports().iter().any(|added| added == global.export());
    let own = global.names().nth(1).filter(|_| added);
    own.unwrap_or(global.export()).to_owned()
}
