//! The attributes of [asyncify]: [`macro@imports`] and [`macro@exports`].
//!
//! Use them through that crate, which re-exports them; what they generate needs it.
//!
//! ```text
//! attribute and item ─▶ attr, model ─▶ check ─┬─▶ expand
//!                       what was     every    └─▶ fallback: the item, a stub,
//!                       written      rule         and every mistake
//! ```
//!
//! They know syntax and no ABI: which wasm values a type stands for is said by the type's own
//! traits, and so is the error where it has none.
//!
//! [asyncify]: https://docs.rs/asyncify-wasm

extern crate proc_macro;

mod attr;
mod check;
mod errors;
mod expand;
mod fallback;
mod model;
mod phases;
#[cfg(test)]
mod snapshots;

use proc_macro::TokenStream;

/// Makes the functions of an `impl` block the imports of a guest.
///
/// An `async fn` suspends the guest while it waits; a plain `fn` is a plain host call. The type
/// gets an implementation of `Imports`, a list of its imports (`IMPORTS`), and what `wasm-opt`
/// needs to instrument a guest for them (`wasm_opt_args()`).
///
/// ```
/// use asyncify::{Errno, OutBuf};
///
/// struct Host;
///
/// #[asyncify::imports(module = "env")]
/// impl Host {
///     /// The guest blocks here; the thread does not.
///     async fn sleep_ms(&self, ms: u32) {
/// #       let _ = ms; std::future::ready(()).await
///         // tokio::time::sleep(Duration::from_millis(ms.into())).await
///     }
///
///     /// Fills the guest's buffer; the guest sees a count or a negative error number.
///     async fn read(&self, path: &str, out: &mut OutBuf) -> Result<u32, Errno> {
///         let page = if path == "/" { b"index" } else { return Err(Errno::NOENT) };
///         Ok(out.push(page) as u32)
///     }
///
///     /// Does not wait, so it costs what any host call costs.
///     fn log(&self, line: &str) {
///         println!("{line}");
///     }
/// }
///
/// assert_eq!(Host::IMPORTS.len(), 3);
/// assert_eq!(Host::wasm_opt_args(), "--pass-arg=asyncify-imports@env.sleep_ms,env.read");
/// ```
///
/// # The block
///
/// It is an inherent block of a type that is `Send + Sync + 'static`: all calls of a guest share
/// it. One type has one such block: a function that guests import from another module says so with
/// a `module` of its own. What is not for the guest stands in another `impl` block, or is marked
/// `#[asyncify(skip)]`. A function takes `&self` or no `self`. A function under `#[cfg]` is an
/// import only where it is compiled.
///
/// | key | |
/// | --- | --- |
/// | `module = "…"` | the module that guests import the functions from |
/// | `crate = path` | where this library is found, if not at `::asyncify` |
///
/// # Its functions
///
/// Each key stands in `#[asyncify(…)]` on the function:
///
/// | key | |
/// | --- | --- |
/// | `name = "…"` | the import's name, where it is not the function's |
/// | `module = "…"` | its module, where it is not the block's |
/// | `skip` | no import: a function for the host alone |
/// | `result = "packed"` | text and bytes are returned as one `i64`, length above pointer: the default |
/// | `result = "out"` | they are stored where a last parameter points: `struct { uint32_t ptr, len; }` |
/// | `trampoline` | a plain `fn` that calls the guest again, and may be unwound through |
///
/// ```
/// # struct Host;
/// #[asyncify::imports(module = "env")]
/// impl Host {
///     #[asyncify(name = "__syscall_getpid")]
///     fn process_id() -> u32 {
///         std::process::id()
///     }
///
///     #[asyncify(module = "clock")]
///     async fn tick(&self) {}
///
///     #[asyncify(result = "out")]
///     async fn title(&self) -> String {
///         "asyncify".to_owned()
///     }
///
///     #[asyncify(skip)]
///     pub fn new() -> Self {
///         Host
///     }
/// }
/// # assert_eq!(Host::new().tick_is(), "clock.tick: () -> ()");
/// # impl Host { fn tick_is(&self) -> String { Host::IMPORTS[1].to_string() } }
/// ```
///
/// # Types
///
/// Parameters are read by `FromGuest`, results written by `IntoGuest`; both can be implemented
/// for a type of your own.
///
/// | parameter | the guest passes |
/// | --- | --- |
/// | integers, floats, `bool`, `char` | one value |
/// | `&str`, `String`, `&[u8]`, `Vec<u8>` | a pointer and a length |
/// | `&mut OutBuf` | a pointer and a capacity: bytes to write, stored when the call answers |
/// | `GuestPtr<T>` | an address, checked when it is used |
///
/// A borrowed parameter of an `async fn` is a copy that the call owns, because the guest's memory
/// may move while it waits. Results are owned: these types without `&`, tuples of them, and
/// `Result<_, E>`, where the guest sees the code of an `E: GuestError`, and an `asyncify::Trap`
/// ends the call.
///
/// # Working in the guest
///
/// A plain `fn` that is generic over the guest's data, and takes it first, has the guest at hand:
///
/// ```
/// use asyncify::{GuestCx, Trap};
/// # struct Host;
/// #[asyncify::imports(module = "env")]
/// impl Host {
///     fn checksum<T: Send + 'static>(&self, cx: &mut GuestCx<'_, T>) -> u32 {
///         cx.memory().iter().map(|&byte| u32::from(byte)).sum()
///     }
/// }
/// ```
#[proc_macro_attribute]
pub fn imports(args: TokenStream, item: TokenStream) -> TokenStream {
    phases::imports(args.into(), &item.into()).into()
}

/// Makes the functions of a trait those that a guest exports.
///
/// For `trait App` it makes `struct AppExports`, which `guest.exports()` returns if the guest has
/// every function with these types, or else says what differs. Each function of the trait is a
/// method. That of an `async fn` returns a `Call`: an owned future, which can be spawned, and
/// parks while the guest waits. That of an `fn`, which must not suspend, returns a future
/// that borrows the struct and allocates nothing; to spawn it, move a clone of the struct along.
///
/// ```
/// use asyncify::{Error, Guest};
///
/// #[asyncify::exports]
/// trait App {
///     /// May suspend.
///     async fn run(&self, pages: u32) -> u32;
///     /// Must not suspend: if it does, that is an error.
///     fn version(&self) -> u32;
/// }
///
/// async fn run_twice(guest: &Guest<()>) -> Result<u32, Error> {
///     let app: AppExports = guest.exports()?;
///     let (first, second) = (app.run(1), app.run(2));
///     Ok(first.await? + second.await? + app.version().await?)
/// }
/// ```
///
/// The trait is a list: nobody implements it, its functions have no bodies and take `&self`.
/// Arguments and results are those of [`macro@imports`] with the directions exchanged: arguments
/// are copied into the guest, and freed when the call ends, so that `&mut` is none.
///
/// | key of the trait | |
/// | --- | --- |
/// | `crate = path` | where this library is found, if not at `::asyncify` |
///
/// | key of a function, in `#[asyncify(…)]` | |
/// | --- | --- |
/// | `name = "…"` | the export's name, where it is not the function's |
/// | `result = "packed"` | text and bytes are returned as one `i64`, length above pointer: the default |
/// | `result = "out"` | the function takes one more parameter, and stores pointer and length there |
#[proc_macro_attribute]
pub fn exports(args: TokenStream, item: TokenStream) -> TokenStream {
    phases::exports(args.into(), &item.into()).into()
}
