//! Where things stand in the guest: the window, the shadow stacks, and the stack pointer.

use super::{Builder, StackPointerSetting};
#[cfg(doc)]
use crate::error::Error;
#[cfg(doc)]
use crate::limits::Limits;
use crate::parts::shadow::StackPolicy;
use crate::store::Place;

/// Where things stand in the guest: the window, the shadow stacks, and the stack pointer.
impl<T: Send + 'static> Builder<T> {
    /// Where the window and the shadow stacks' regions go; [`Place::Auto`] by default. See
    /// [`Place`] for an example.
    pub fn place(mut self, place: Place) -> Self {
        self.settings.place = place;
        self
    }

    /// How parked calls keep their part of the guest's stack. By default [`StackPolicy::Separate`],
    /// and [`StackPolicy::Copied`] where there is no place for regions: no allocator of the guest's,
    /// and none that you name. See [`StackPolicy`] for an example.
    pub fn stack_policy(mut self, policy: StackPolicy) -> Self {
        self.settings.policy = Some(policy);
        self
    }

    /// Bytes of each shadow stack region. By default as many as the guest's own stack has, or may
    /// have at most ([`Findings::stack_bounds`](crate::Findings::stack_bounds)), but no more than
    /// 1 MiB; 64 KiB where neither is known. See [`StackPolicy`] for an example.
    pub fn region_size(mut self, bytes: u64) -> Self {
        self.settings.region_size = Some(bytes);
        self
    }

    /// Bytes of the first window, 64 at least. By default 64 KiB, or the limit or a memory to borrow
    /// from (see [`Place`]) where that is less. It grows when a call needed more, up to
    /// [`Limits::window_bytes`]. To ask for more than that limit is an [`Error::Config`], whichever
    /// of the two is set first.
    ///
    /// In a place that was named or allocated, as much again lies behind it, 64 KiB at most: what
    /// overflows into that damages nothing. So the default takes 128 KiB and 16 bytes; where the
    /// place has less, each gets half. A borrowed one needs none behind it. It is saved at each
    /// suspension instead, which takes 0.2 µs for 16 KiB, 0.6 for 32 and 1.3 for 64.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # struct Host;
    /// # #[asyncify::imports(module = "env")] impl Host {
    /// #     async fn yield_now(&self) { tokio::task::yield_now().await }
    /// #     async fn pause(&self) -> u32 { std::future::pending().await }
    /// # }
    /// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/guests/yielding.wasm");
    /// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
    /// let guest = Guest::builder(&module).imports(Host).window_size(4096).instantiate().await?;
    /// # let spin = guest.all_exports().typed::<(u32,), (u32,)>("spin")?;
    /// spin.call((1,)).await?;
    /// assert_eq!(guest.stats().await?.window_bytes, 4096);
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn window_size(mut self, bytes: u64) -> Self {
        self.settings.window_size = Some(bytes);
        self
    }

    /// Names the global that is the shadow stack pointer, by its export's name, its own name or
    /// its index, where [`Findings::stack_pointer`](crate::Findings::stack_pointer) could not tell for certain.
    ///
    /// ```
    /// # use asyncify::{Guest, Module, wasmtime::Engine};
    /// # futures::executor::block_on(async {
    /// # let module = Module::new(&Engine::default(), r#"(module (memory 2) (global (export "sp") (mut i32) (i32.const 65536)))"#)?;
    /// let guest = Guest::builder(&module).stack_pointer("sp").instantiate().await?;
    /// // Or the global is something else, and there is no stack.
    /// let guest = Guest::builder(&module).no_stack_pointer().instantiate().await?;
    /// assert!(Guest::builder(&module).stack_pointer("no such").instantiate().await.is_err());
    /// # Ok::<(), asyncify::Error>(()) }).unwrap();
    /// ```
    pub fn stack_pointer(mut self, global: impl Into<String>) -> Self {
        self.settings.stack_pointer = Some(StackPointerSetting::Global(global.into()));
        self
    }

    /// Says that the guest has no shadow stack. See [`stack_pointer`](Self::stack_pointer) for an
    /// example.
    pub fn no_stack_pointer(mut self) -> Self {
        self.settings.stack_pointer = Some(StackPointerSetting::None);
        self
    }
}
