//! Nothing is in scope but what is written with its whole path.

#![no_implicit_prelude]

/// A host.
#[derive(::core::fmt::Debug)]
pub struct Host;

#[::asyncify::imports(module = "env")]
impl Host {
    /// Reads a page.
    ///
    /// The answer is a count.
    ///
    /// # Errors
    /// Never.
    pub async fn fetch(
        &self,
        url: &str,
        out: &mut ::asyncify::OutBuf,
    ) -> ::core::result::Result<u32, ::asyncify::Errno> {
        let _ = out.put(url.as_bytes());
        ::core::result::Result::Ok(0)
    }

    /// Writes a line.
    pub fn log(&self, line: &[u8]) {
        let _ = (self, line);
    }

    /// Works in the guest.
    pub fn intern<T: ::core::marker::Send + 'static>(
        cx: &mut ::asyncify::GuestCx<'_, T>,
        text: &str,
        out: &mut ::asyncify::OutBuf,
    ) -> u32 {
        let _ = (cx, text, out);
        0
    }

    /// A text behind a pointer.
    ///
    /// # Errors
    /// Never.
    #[asyncify(result = "out")]
    pub async fn title(&self) -> ::core::result::Result<::std::string::String, ::asyncify::Errno> {
        ::core::result::Result::Ok(::std::string::String::new())
    }
}

/// An application.
#[::asyncify::exports]
pub trait App {
    /// Works on so many pages.
    async fn run(&self, pages: u32) -> u32;

    /// Greets.
    #[asyncify(name = "greet_user", result = "out")]
    async fn greet(&self, name: &str, _: &[u8], times: (i32, f64)) -> ::std::string::String;

    /// Ends.
    fn quit(&self);
}
