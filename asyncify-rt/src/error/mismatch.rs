//! Imports that cannot be linked.

use std::fmt;

use super::name::Name;
use super::text::lines;

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
    /// What the host calls it, as `module.name`, if [`Builder::rename`](crate::Builder::rename)
    /// said that it is another name.
    pub renamed: Option<String>,
    /// What the module asks for.
    pub wanted: String,
    /// What the host has; `None` if it has nothing of that name.
    pub defined: Option<String>,
    /// In that case, what it has under nearly this name, or under this name in another module.
    pub similar: Option<String>,
}

pub(super) fn describe(mismatches: &[ImportMismatch], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let rows: Vec<_> = mismatches.iter().map(ImportMismatch::row).collect();
    write!(
        f,
        "{} of the module's imports cannot be linked:{}\noffer them with `Builder::imports` or `Builder::link`, or let missing ones trap with `Builder::trap_unknown_imports`",
        rows.len(),
        lines(&rows)
    )
}

impl ImportMismatch {
    fn row(&self) -> String {
        let Self { import, renamed, wanted, defined, similar } = self;
        let defined = match (defined, similar) {
            (Some(defined), _) => defined.clone(),
            (None, Some(similar)) => format!("none, but has {}", Name(similar)),
            (None, None) => "none".to_owned(),
        };
        let renamed =
            renamed.as_deref().map(|host| format!(", which the host calls {}", Name(host)));
        let renamed = renamed.unwrap_or_default();
        format!("{}{renamed}: the module wants {wanted}, the host has {defined}", Name(import))
    }
}
