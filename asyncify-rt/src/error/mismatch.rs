//! Imports that cannot be linked.

/// An import that the host lacks, or has with another signature.
///
/// ```
/// # use asyncify::{Guest, Module, wasmtime::Engine};
/// # futures::executor::block_on(async {
/// # let module = Module::new(&Engine::default(), r#"(module (import "env" "log" (func (param i32))))"#)?;
/// use asyncify::Error;
///
/// match Guest::builder(&module).instantiate().await {
///     Err(Error::Imports(mismatches)) => {
///         assert_eq!(mismatches[0].import, "env.log");
///         assert_eq!(mismatches[0].wanted, "(i32) -> ()");
///         assert_eq!(mismatches[0].defined, None);
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), asyncify::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportMismatch {
    /// The import, as `module.name`.
    pub import: String,
    /// What the module asks for.
    pub wanted: String,
    /// What the host has; `None` if it has nothing of that name.
    pub defined: Option<String>,
}

impl ImportMismatch {
    pub(super) fn describe(mismatches: &[Self]) -> String {
        let mut text = format!("{} of the module's imports cannot be linked:", mismatches.len());
        for Self { import, wanted, defined } in mismatches {
            let defined = defined.as_deref().unwrap_or("none");
            let row =
                format!("\n    `{import}`: the module wants {wanted}, the host has {defined}");
            text.push_str(&row);
        }
        text + "\ndefine them, or let missing ones trap with `Builder::trap_unknown_imports`"
    }
}
