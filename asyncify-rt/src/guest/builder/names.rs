//! Replacing one function of many, and the names of a minified module.

use super::Builder;
use crate::error::{Error, Name, Result, nearest};

/// Replacing one function of many, and the names of a minified module.
impl<T: Send + 'static> Builder<T> {
    /// Leaves out the import that is called `import`, as `module.name`, of the hosts that were
    /// offered before: another host or [`link`](Self::link) has it.
    ///
    /// A name that no host has is an [`Error::NoSuchImport`], told by
    /// [`instantiate`](Self::instantiate).
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// struct Host;
    ///
    /// #[asyncify::imports(module = "env")]
    /// impl Host {
    ///     fn twice(&self, n: u32) -> u32 { n * 2 }
    ///     fn answer(&self) -> u32 { 42 }
    /// }
    /// # futures::executor::block_on(async {
    /// # let module = Module::new(&Engine::default(), r#"(module (import "env" "answer" (func $answer (result i32))) (func (export "run") (result i32) call $answer))"#)?;
    ///
    /// let guest = Guest::builder(&module)
    ///     .imports(Host)
    ///     .without("env.answer")
    ///     .link(|linker| linker.func_wrap("env", "answer", || 7).map(drop))
    ///     .instantiate()
    ///     .await?;
    /// let run = guest.all_exports().typed::<(), (u32,)>("run")?;
    /// assert_eq!(run.call(()).await?, (7,));
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn without(mut self, import: &str) -> Self {
        if let Err(error) = self.imports.without(import) {
            self.mistake.get_or_insert(error);
        }
        self
    }

    /// Lets what is defined later replace what has its name already, where that is an error
    /// otherwise: to replace one function of a library that [`link`](Self::link) brings, say. Call
    /// it before those.
    ///
    /// What [`link`](Self::link) defines comes first, in the order of its calls; then the imports
    /// of hosts; then what [`link_with_store`](Self::link_with_store) defines.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # futures::executor::block_on(async {
    /// # let module = Module::new(&Engine::default(), r#"(module (import "env" "answer" (func $answer (result i32))) (func (export "run") (result i32) call $answer))"#)?;
    /// let guest = Guest::builder(&module)
    ///     .allow_shadowing()
    ///     .link(|linker| linker.func_wrap("env", "answer", || 42).map(drop))
    ///     .link(|linker| linker.func_wrap("env", "answer", || 7).map(drop))
    ///     .instantiate()
    ///     .await?;
    /// let run = guest.all_exports().typed::<(), (u32,)>("run")?;
    /// assert_eq!(run.call(()).await?, (7,));
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn allow_shadowing(mut self) -> Self {
        self.linker.allow_shadowing(true);
        self
    }

    /// Says that the module's import `theirs` is what a host calls `ours`, each as `module.name`,
    /// so that one host serves builds whose names were minified. It concerns the hosts that were
    /// offered before.
    ///
    /// A name that the module or the hosts do not have is an error, told by
    /// [`instantiate`](Self::instantiate). What is told of the module has its names, and what is
    /// told of a call has the host's.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// struct Host;
    ///
    /// #[asyncify::imports(module = "env")]
    /// impl Host {
    ///     fn twice(&self, n: u32) -> u32 { n * 2 }
    /// }
    /// # futures::executor::block_on(async {
    /// # let module = Module::new(&Engine::default(), r#"(module (import "a" "b" (func $b (param i32) (result i32))) (func (export "c") (result i32) i32.const 4 call $b))"#)?;
    ///
    /// let guest = Guest::builder(&module).imports(Host).rename("a.b", "env.twice").instantiate().await?;
    /// let c = guest.all_exports().typed::<(), (u32,)>("c")?;
    /// assert_eq!(c.call(()).await?, (8,));
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn rename(self, theirs: &str, ours: &str) -> Self {
        self.rename_all([(theirs, ours)])
    }

    /// As [`rename`](Self::rename), for many: pairs of the module's name and the host's.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # struct Host;
    /// # #[asyncify::imports(module = "env")] impl Host { fn twice(&self, n: u32) -> u32 { n * 2 } fn log(&self) {} }
    /// # futures::executor::block_on(async {
    /// # let module = Module::new(&Engine::default(), r#"(module (import "a" "b" (func (param i32) (result i32))) (import "a" "c" (func)))"#)?;
    /// // Kept beside the build, a line for each import.
    /// let names = "a.b:env.twice\na.c:env.log";
    /// let names = names.lines().filter_map(|line| line.split_once(':'));
    /// let guest = Guest::builder(&module).imports(Host).rename_all(names).instantiate().await?;
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn rename_all<A, B>(mut self, names: impl IntoIterator<Item = (A, B)>) -> Self
    where
        A: AsRef<str>,
        B: AsRef<str>,
    {
        for (theirs, ours) in names {
            if let Err(error) = self.rename_one(theirs.as_ref(), ours.as_ref()) {
                self.mistake.get_or_insert(error);
            }
        }
        self
    }

    /// Lets the module's export `theirs` be found as `ours` too, so that one trait of exports
    /// serves builds whose names were minified. It goes with an instance that you linked yourself,
    /// too.
    ///
    /// An export that the module does not have, and a name that is taken, are errors, told when
    /// the guest is made.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// #[asyncify::exports]
    /// trait App {
    ///     async fn run(&self) -> u32;
    /// }
    /// # futures::executor::block_on(async {
    /// # let module = Module::new(&Engine::default(), r#"(module (func (export "w") (result i32) i32.const 7))"#)?;
    /// let guest = Guest::builder(&module).rename_export("w", "run").instantiate().await?;
    /// let app: AppExports = guest.exports()?;
    /// assert_eq!(app.run().await?, 7);
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn rename_export(mut self, theirs: impl Into<String>, ours: impl Into<String>) -> Self {
        self.settings.renamed_exports.push((theirs.into(), ours.into()));
        self
    }

    fn rename_one(&mut self, theirs: &str, ours: &str) -> Result<()> {
        let joined = |(module, name): (&str, &str)| format!("{module}.{name}");
        let module = self.module.clone();
        let asked = || module.wasmtime().imports().map(|import| (import.module(), import.name()));
        let Some((module, name)) = asked().find(|import| joined(*import) == theirs) else {
            let present: Vec<_> = asked().map(joined).collect();
            let nearest = nearest(theirs, present.iter().map(String::as_str));
            let meant = nearest.map(|nearest| format!("; did you mean {}?", Name(nearest)));
            return Err(Error::Config(format!(
                "the module has no import {}, which `Builder::rename` names{}",
                Name(theirs),
                meant.unwrap_or_default()
            )));
        };
        self.imports.rename(ours, module, name).map(drop)
    }
}
