//! Exports that are found by another name than the module's too.

use std::collections::HashMap;

use wasmtime::Extern;

use crate::error::{Error, Name, Result};
use crate::store::Export;

/// Adds to `exports` those of `names`, each the module's name and the one to find it by.
pub(crate) fn rename_exports(
    exports: &mut Vec<Export>,
    all: &mut HashMap<String, Extern>,
    names: &[(String, String)],
) -> Result<()> {
    for (theirs, ours) in names {
        if all.contains_key(ours) {
            return Err(Error::Config(format!(
                "the guest has an export {} already, as which `Builder::rename_export` names {}",
                Name(ours),
                Name(theirs)
            )));
        }
        let Some(export) = exports.iter().find(|export| *export.name == **theirs) else {
            let present = exports.iter().map(|export| export.name.to_string()).collect();
            return Err(Error::NoSuchExport { kind: "item", name: theirs.clone(), present });
        };
        let (item, ty) = (export.item.clone(), export.ty.clone());
        all.insert(ours.clone(), item.clone());
        exports.push(Export { name: ours.as_str().into(), item, ty });
    }
    Ok(())
}
