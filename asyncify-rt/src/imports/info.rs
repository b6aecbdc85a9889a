//! What is known of an import without its host, and what one with dynamic values answers.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use wasmtime::Val;

use crate::error::{Result, Trap, signature};
use crate::marshal::{Answer, IntoGuest, ParamInfo, Site, ValueType, Values, assert_not_too_many};

/// An import, as a host declares it.
///
/// ```
/// # struct Host;
/// #[asyncify::imports(module = "env")]
/// impl Host {
///     /// The length of a text.
///     fn length(&self, text: &str) -> u32 { text.len() as u32 }
/// }
///
/// let info = &Host::IMPORTS[0];
/// assert_eq!((info.module, info.name, info.suspending), ("env", "length", false));
/// assert_eq!((info.params[0].ty, info.doc), ("&str", "The length of a text."));
/// assert_eq!(info.to_string(), "env.length: (i32, i32) -> (i32)");
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ImportInfo {
    /// The module that the guest imports it from.
    pub module: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// Whether it may suspend the guest: whether it is an `async fn`, or a trampoline.
    pub suspending: bool,
    /// Its parameters, without the out-pointer of `result = "out"`.
    pub params: &'static [ParamInfo],
    /// The values of the out-pointer, if it has one.
    pub out_pointer: &'static [ValueType],
    /// The result's type, as written; empty where there is none.
    pub result_ty: &'static str,
    /// The values that it returns.
    pub results: &'static [ValueType],
    /// Its doc comment.
    pub doc: &'static str,
}

impl ImportInfo {
    /// What stands in a list that is not filled yet.
    pub(super) const NONE: Self = Self {
        module: "",
        name: "",
        suspending: false,
        params: &[],
        out_pointer: &[],
        result_ty: "",
        results: &[],
        doc: "",
    };

    #[doc(hidden)]
    #[must_use]
    #[track_caller]
    pub const fn new<M, R: IntoGuest>(
        module: &'static str,
        name: &'static str,
        suspending: bool,
        params: &'static [ParamInfo],
        result_ty: &'static str,
        doc: &'static str,
    ) -> Self
    where
        M: Answer<R>,
    {
        assert_not_too_many(params, M::Params::TYPES);
        Self {
            module,
            name,
            suspending,
            params,
            out_pointer: M::Params::TYPES,
            result_ty,
            results: M::Results::TYPES,
            doc,
        }
    }

    /// Its wasm values.
    fn signature(&self) -> (Vec<ValueType>, Vec<ValueType>) {
        let params = self.params.iter().flat_map(|param| param.values);
        (params.chain(self.out_pointer).copied().collect(), self.results.to_vec())
    }

    #[inline]
    pub(super) fn id(&self) -> (&'static str, &'static str) {
        (self.module, self.name)
    }

    pub(super) fn site(&self) -> Site<'static> {
        Site::import(self.module, self.name, self.params)
    }
}

impl fmt::Display for ImportInfo {
    /// As the guest declares it: `env.fetch: (i32, i32, i32, i32) -> (i32)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (params, results) = self.signature();
        write!(f, "{}.{}: {}", self.module, self.name, signature(&params, &results))
    }
}

/// What an import's body answers with.
///
/// ```
/// use asyncify::ImportResult;
/// use asyncify::wasmtime::Val;
///
/// let now = ImportResult::Sync(vec![Val::I32(7)]);
/// let later = ImportResult::wait(async { Ok(vec![Val::I32(7)]) });
/// # let _ = (now, later);
/// ```
pub enum ImportResult {
    /// The results, now.
    Sync(Vec<Val>),
    /// The results, when this future is ready. The guest waits, if it is not ready at once.
    Async(Pin<Box<dyn Future<Output = Result<Vec<Val>, Trap>> + Send>>),
}

impl ImportResult {
    /// The results when `future` is ready.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use asyncify::ImportResult;
    /// let answer = ImportResult::wait(async {
    ///     tokio::time::sleep(Duration::from_millis(10)).await;
    ///     Ok(vec![])
    /// });
    /// # let _ = answer;
    /// ```
    pub fn wait(future: impl Future<Output = Result<Vec<Val>, Trap>> + Send + 'static) -> Self {
        Self::Async(Box::pin(future))
    }
}

impl fmt::Debug for ImportResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sync(results) => f.debug_tuple("Sync").field(results).finish(),
            Self::Async(_) => f.write_str("Async(_)"),
        }
    }
}
