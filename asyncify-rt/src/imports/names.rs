//! Which of the imports a guest is offered, and under which names.

use super::list::AsyncImports;
use crate::error::{Error, Result};

impl<T: Send + 'static> AsyncImports<T> {
    /// Leaves out the import that is called `import`, as `module.name`: something else stands in
    /// its place.
    ///
    /// # Errors
    /// [`Error::NoSuchImport`] if there is none of that name.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use asyncify::{AsyncImports, Error};
    /// # struct Host;
    /// # #[asyncify::imports(module = "env")] impl Host { async fn sleep_ms(&self, ms: u32) { let _ = ms; } fn log(&self) {} }
    /// let mut imports = AsyncImports::<()>::new();
    /// imports.host(Arc::new(Host)).without("env.sleep_ms")?;
    /// assert_eq!(imports.suspending_imports().count(), 0);
    /// assert!(matches!(imports.without("env.sleep_ms"), Err(Error::NoSuchImport { .. })));
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    pub fn without(&mut self, import: &str) -> Result<&mut Self> {
        self.find(import)?;
        for definition in self.definitions.iter_mut().filter(|one| one.is_called(import)) {
            definition.left_out = true;
        }
        Ok(self)
    }

    /// Offers the import that is called `import`, as `module.name`, under another name: that which
    /// a minified guest has for it.
    ///
    /// # Errors
    /// [`Error::NoSuchImport`] if there is none of that name.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use asyncify::AsyncImports;
    /// # struct Host;
    /// # #[asyncify::imports(module = "env")] impl Host { async fn sleep_ms(&self, ms: u32) { let _ = ms; } }
    /// let mut imports = AsyncImports::<()>::new();
    /// imports.host(Arc::new(Host)).rename("env.sleep_ms", "a", "b")?;
    /// assert!(imports.suspending_imports().eq([("a", "b")]));
    /// # Ok::<(), asyncify::Error>(())
    /// ```
    pub fn rename(&mut self, import: &str, module: &str, name: &str) -> Result<&mut Self> {
        self.find(import)?;
        for definition in self.definitions.iter_mut().filter(|one| one.is_called(import)) {
            definition.renamed.get_or_insert_with(|| import.to_owned());
            module.clone_into(&mut definition.module);
            name.clone_into(&mut definition.name);
        }
        Ok(self)
    }

    /// What the host calls the guest's `import`, if that is something else.
    pub(crate) fn host_name(&self, import: &str) -> Option<&str> {
        let definition = self.definitions.iter().find(|one| one.is_called(import))?;
        definition.renamed.as_deref()
    }

    /// An error if there is no such import.
    fn find(&self, import: &str) -> Result<()> {
        if self.definitions.iter().any(|one| one.is_called(import)) {
            return Ok(());
        }
        let offered = self.definitions.iter().filter(|one| !one.left_out);
        let present = offered.map(|one| format!("{}.{}", one.module, one.name)).collect();
        Err(Error::NoSuchImport { import: import.to_owned(), present })
    }
}
