//! What is told of a module that cannot be linked: all of it at once.

use crate::error::{Error, ImportMismatch, Result};
use crate::imports::AsyncImports;
use crate::module::Module;

/// Whether the module can suspend where the host does, and whether its imports fit.
pub(crate) fn tell<T: Send + 'static>(
    module: &Module,
    imports: &AsyncImports<T>,
    instrumented: Result<()>,
    linkable: Result<()>,
) -> Result<()> {
    let linkable = linkable.map_err(|error| with_host_names(error, imports));
    match (instrumented, linkable) {
        (
            Err(Error::NotInstrumented { suspending, wasm_opt_args, .. }),
            Err(Error::Imports(mismatches)),
        ) => Err(Error::NotInstrumented { suspending, wasm_opt_args, mismatches }),
        (Ok(()), Err(Error::Imports(mismatches))) => {
            let suspending = meant(imports, &mismatches);
            if suspending.is_empty() || module.findings().asyncify().is_some() {
                return Err(Error::Imports(mismatches));
            }
            let wasm_opt_args = imports.wasm_opt_args();
            Err(Error::NotInstrumented { suspending, wasm_opt_args, mismatches })
        }
        (instrumented, linkable) => instrumented.and(linkable),
    }
}

/// Says what the host calls imports that have another name in the module.
fn with_host_names<T: Send + 'static>(mut error: Error, imports: &AsyncImports<T>) -> Error {
    if let Error::Imports(mismatches) = &mut error {
        for mismatch in mismatches {
            mismatch.renamed = imports.host_name(&mismatch.import).map(str::to_owned);
        }
    }
    error
}

/// The suspending imports whose names the module nearly has.
fn meant<T: Send + 'static>(
    imports: &AsyncImports<T>,
    mismatches: &[ImportMismatch],
) -> Vec<String> {
    let similar = |name: &String| mismatches.iter().any(|one| one.similar.as_ref() == Some(name));
    let names = imports.suspending_imports().map(|(module, name)| format!("{module}.{name}"));
    names.filter(similar).collect()
}
