//! Calls a host's imports without a guest, to test what was annotated.
//!
//! A [`Mock`] stands where a guest would: it has a memory, an allocator, and one function for each
//! import of the host, which does nothing but call it. What crosses is what a real guest passes and
//! gets: pointers, lengths and codes. Marshalling and suspending are those of real calls too.
//!
//! ```
//! use asyncify::testing::Mock;
//! use asyncify::{Errno, Error, FromGuestError, OutBuf};
//!
//! struct Host;
//!
//! #[asyncify::imports(module = "env")]
//! impl Host {
//!     async fn fetch(&self, url: &str, out: &mut OutBuf) -> Result<u32, Errno> {
//!         // A real one would wait for its answer here.
//!         match url {
//!             "/page/1" => Ok(out.put("first page")?),
//!             _ => Err(Errno::NOENT),
//!         }
//!     }
//! }
//!
//! # futures::executor::block_on(async {
//! let mock = Mock::new(Host).await?;
//! let url = mock.place("/page/1")?;
//! let out = mock.reserve(64)?;
//! let count: u32 = mock.call("env", "fetch", (url, out)).await?;
//! assert_eq!(mock.read(out.ptr, count)?, b"first page");
//!
//! // A code, as the guest sees it.
//! let url = mock.place("/nowhere")?;
//! let code: i32 = mock.call("env", "fetch", (url, out)).await?;
//! assert_eq!(code, -2);
//!
//! // A buffer that is too small: the code tells the size that is needed.
//! let url = mock.place("/page/1")?;
//! let small = mock.reserve(4)?;
//! let code: i32 = mock.call("env", "fetch", (url, small)).await?;
//! assert_eq!(code, i32::MIN + 10);
//! assert_eq!(Errno::from_code(code).needed(), Some(10));
//!
//! // A pointer that no guest should pass. A text can also be given as its two values.
//! let wrong = mock.call::<_, i32>("env", "fetch", (u32::MAX, 9, 0, 0)).await;
//! assert!(matches!(wrong, Err(Error::BadPointer { ptr: 0xffff_ffff, len: 9, .. })));
//! # Ok::<(), asyncify::Error>(())
//! # }).unwrap();
//! ```

mod builder;
mod call;
mod mock;
mod module;
mod values;

pub use builder::MockBuilder;
pub use call::MockCall;
pub use mock::Mock;
pub use values::{GuestValue, GuestValues, Results};
