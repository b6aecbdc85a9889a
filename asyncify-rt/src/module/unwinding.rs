//! Which functions can be unwound, as far as that was found, and what may be the matter otherwise.

use super::findings::Findings;
use crate::error::Name;

impl Findings {
    /// Functions that were left out of the instrumentation: they call an instrumented function, and
    /// cannot be unwound with it.
    ///
    /// Binaryen leaves no such function out unless one of its lists says so. If what they call
    /// suspends, they run on with a wrong answer, and once more from the start. One of them may look
    /// at Asyncify's state, where a function that does was inlined into it; but it does something
    /// before it looks. At most 32 are listed, by name where the module gives one. The list is empty
    /// if the module is not instrumented.
    ///
    /// Functions that drive Asyncify themselves are not in it (see [`driving`](Self::driving)), nor
    /// are callers of imports (see [`uninstrumented_callers`](Self::uninstrumented_callers)) and
    /// those that call through a table alone: whether that leads to a function that suspends cannot
    /// be told. [`Builder::check_frames`](crate::Builder::check_frames) does when it happens.
    ///
    /// ```
    /// # use asyncify::Prepared;
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/guests/yielding.wasm");
    /// # let wasm = std::fs::read(GUEST).unwrap();
    /// let prepared = Prepared::new(wasm)?;
    /// assert!(prepared.findings().uninstrumented().is_empty());
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    #[must_use]
    pub fn uninstrumented(&self) -> Vec<&str> {
        self.callers.names(&self.callers.left_out).collect()
    }

    /// Functions that drive Asyncify themselves, as schedulers of green threads do: they set its
    /// state, or call the functions that do.
    ///
    /// Such a guest switches its own tasks as it likes. But frames are unwound no further than to
    /// its scheduler, so an import can wait only where none of these is on the stack. At most 32 are
    /// listed.
    ///
    /// ```
    /// # use asyncify::Prepared;
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/guests/yielding.wasm");
    /// # let wasm = std::fs::read(GUEST).unwrap();
    /// let prepared = Prepared::new(wasm)?;
    /// assert!(prepared.findings().driving().is_empty());
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    #[must_use]
    pub fn driving(&self) -> Vec<&str> {
        self.callers.names(&self.callers.driving).collect()
    }

    /// Functions that call through a table and cannot be unwound: the module was instrumented with
    /// `asyncify-ignore-indirect` or a list. Nothing that waits may be reached through them. At most
    /// 32 are listed.
    ///
    /// ```
    /// # use asyncify::Prepared;
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/guests/yielding.wasm");
    /// # let wasm = std::fs::read(GUEST).unwrap();
    /// let prepared = Prepared::new(wasm)?;
    /// assert!(prepared.findings().indirect_callers().is_empty());
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    #[must_use]
    pub fn indirect_callers(&self) -> Vec<&str> {
        self.callers.names(&self.callers.indirect).collect()
    }

    /// Whether the module itself changes a table of functions.
    ///
    /// A call that is resumed calls through the table again, by the number it had. If another
    /// function stands there by then, that one goes on with the first one's frames, and the answer
    /// is wrong. So an entry that a parked call went through must stay what it is.
    ///
    /// ```
    /// # use asyncify::Prepared;
    /// let prepared = Prepared::new("(module (table 1 funcref) (func (table.set (i32.const 0) (ref.null func))))")?;
    /// assert!(prepared.findings().changes_table());
    /// assert!(!prepared.findings().shares_table());
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    #[must_use]
    pub fn changes_table(&self) -> bool {
        self.tables.changed
    }

    /// Whether others can change a table of functions, as it is exported or imported: see
    /// [`changes_table`](Self::changes_table).
    ///
    /// ```
    /// # use asyncify::Prepared;
    /// let prepared = Prepared::new(r#"(module (table (export "callbacks") 1 funcref))"#)?;
    /// assert!(prepared.findings().shares_table());
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    #[must_use]
    pub fn shares_table(&self) -> bool {
        self.tables.shared
    }

    /// Whether the function with this index can be unwound.
    pub(crate) fn is_instrumented(&self, function: u32) -> bool {
        self.instrumented.contains(function)
    }

    /// Whether the function with this index is one that frames are unwound up to by the guest.
    pub(crate) fn schedules(&self, function: u32) -> bool {
        self.scheduling.contains(function)
    }

    /// Functions that call one of the imports `suspending`, given by module and name, and do not
    /// look at Asyncify's state right afterwards, as Binaryen has them do.
    ///
    /// Each such import is listed as `module.name`, with at most 32 of its callers. The list is
    /// empty if the module is not instrumented.
    ///
    /// # Examples
    ///
    /// ```
    /// # use asyncify::Prepared;
    /// # let prepared = Prepared::new(b"(module)")?;
    /// for (import, functions) in prepared.findings().uninstrumented_callers(&[("env", "sleep")]) {
    ///     eprintln!("{import} suspends, but {functions:?} cannot be unwound");
    /// }
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    #[must_use]
    pub fn uninstrumented_callers(
        &self,
        suspending: &[(&str, &str)],
    ) -> Vec<(String, Vec<String>)> {
        self.callers
            .of_imports
            .iter()
            .filter(|import| suspending.contains(&(&import.module, &import.name)))
            .map(|import| {
                let functions = self.callers.names(&import.callers).map(str::to_owned).collect();
                (format!("{}.{}", import.module, import.name), functions)
            })
            .collect()
    }

    /// Whether the module may set Asyncify's state itself.
    pub(crate) fn drives(&self) -> bool {
        self.asyncify.as_ref().is_some_and(|asyncify| !asyncify.sealed)
    }

    /// What may be the matter where guest and host disagree about where a call stands; with `others`,
    /// there are other instances in the guest's store.
    pub(crate) fn causes(&self, others: bool) -> String {
        let of = |functions: Vec<&str>| list(&functions);
        let mut causes = Vec::new();
        if let Some(functions) = of(self.driving()) {
            causes.push(format!(
                "the guest waited below {functions}, which drive Asyncify themselves"
            ));
        } else if self.drives() {
            causes.push("others set Asyncify's state, as the module lets them".to_owned());
        }
        if let Some(functions) = of(self.uninstrumented()) {
            causes.push(format!("it waited below {functions}, left out of the instrumentation"));
        }
        if let Some(functions) = of(self.indirect_callers()) {
            causes.push(format!("it waited below {functions}, which call through a table and were left out by `asyncify-ignore-indirect` or a list"));
        }
        if self.tables.changed || self.tables.shared {
            causes.push(
                "a table was changed while a call that had gone through it was parked".to_owned(),
            );
        }
        if others {
            causes.push("another instance in the store was on the way".to_owned());
        }
        causes.push("a function that was linked by hand called the guest on the way".to_owned());
        causes.push("a later tool changed what Binaryen instrumented".to_owned());
        match causes.as_slice() {
            [first @ .., last] => format!("{}, or that {last}", first.join(", that ")),
            [] => String::new(),
        }
    }
}

/// Some of the functions, as they stand in a sentence.
fn list(functions: &[&str]) -> Option<String> {
    const SHOWN: usize = 4;
    let names: Vec<_> = functions.iter().take(SHOWN).map(|name| Name(name).to_string()).collect();
    let more = if functions.len() > SHOWN { ", …" } else { "" };
    (!names.is_empty()).then(|| format!("{}{more}", names.join(", ")))
}
