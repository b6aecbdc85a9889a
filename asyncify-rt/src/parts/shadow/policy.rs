//! The choice of how parked calls keep their part of the shadow stack.

/// How parked calls keep their part of the shadow stack. A guest without one needs neither.
///
/// Choose [`Separate`](Self::Separate) unless you know better: it is right for guests that keep
/// pointers into parked frames, such as a queue whose nodes are local variables of those who
/// wait. Choose [`Copied`](Self::Copied) for very many calls at once, or for a guest that checks
/// its own stack. Where there is no place for regions, neither an allocator that the guest exports
/// nor one that you name with [`Builder::place`](crate::Builder::place), `Copied` is the default,
/// and with `Separate` a call that needs a region ends with [`Error::NoRoom`](crate::Error::NoRoom).
///
/// ```
/// # use asyncify::{Guest, Module, wasmtime::Engine};
/// # const GUEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples.wat");
/// # futures::executor::block_on(async { let module = Module::from_file(&Engine::default(), GUEST)?;
/// use asyncify::StackPolicy;
///
/// // Many calls with little on their stacks: nothing of them stays in the guest.
/// let copied = Guest::builder(&module).stack_policy(StackPolicy::Copied).instantiate().await?;
/// // Some calls, in regions of 16 KiB.
/// let separate = Guest::builder(&module).region_size(16 << 10).instantiate().await?;
/// # let _ = (copied, separate);
/// # Ok::<(), asyncify::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StackPolicy {
    /// The default where there is a place for regions. Frames stay where they are: a call that
    /// starts while another is parked on the guest's own stack gets a region of its own. Pointers
    /// into parked frames stay good. A guest that checks its stack against a fixed limit is wrong in
    /// a region.
    #[default]
    Separate,
    /// The default elsewhere. The call's bytes are copied out when it parks and back when it
    /// resumes: nothing stays in the guest. A pointer into a parked call's stack is dead until that
    /// call resumes.
    Copied,
    /// One call at a time, in the order they came: a call's turn lasts from its first run to its
    /// end, waits included, and nothing is moved meanwhile. For guests whose own collector looks
    /// for objects on their stack, which finds what a waiting call holds there and nowhere else.
    ///
    /// A call that an import of the running call makes, and awaits within its own future, runs at
    /// once, above that call's frames; several of them take turns among each other. An import that
    /// waits for one in another way, such as a task that it spawned, waits for ever: that call
    /// waits in turn for this one to end. What runs by [`Guest::with`](crate::Guest::with) waits for
    /// no turn.
    ///
    /// A call that has begun and is then neither polled nor dropped holds up all others; one that
    /// waits, and is not polled when its turn comes, loses that turn and keeps its place.
    Exclusive,
}
