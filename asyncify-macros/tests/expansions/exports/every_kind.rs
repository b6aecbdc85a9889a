/// An application.
#[asyncify::exports]
#[expect(non_snake_case, reason = "the guest's names")]
pub(crate) trait App {
    /// Works on so many pages.
    #[must_use]
    async fn run(&self, pages: u32) -> u32;

    #[asyncify(name = "greet_user", result = "out")]
    async fn greet(&self, name: &str, _: &[u8], times: (i32, f64)) -> Result<String, Errno>;

    #[cfg(feature = "extra")]
    fn version(&self);

    #[allow(clippy::too_many_arguments)]
    #[cfg_attr(unix, cfg(feature = "extra"), inline, must_use)]
    async fn onEvent(&self, theEvent: u32);
}
