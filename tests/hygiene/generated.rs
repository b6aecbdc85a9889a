//! Blocks and traits that a macro or a function makes.

#![allow(missing_docs, missing_debug_implementations)]

macro_rules! host {
    ($host:ident, $exports:ident, $module:literal, $param:ty, $result:ty) => {
        pub struct $host;

        #[asyncify::imports(module = $module, crate = $crate::generated::runtime)]
        impl $host {
            pub async fn open(&self, value: $param) -> $result {
                let _ = value;
                <$result>::default()
            }
        }

        #[asyncify::exports(crate = $crate::generated::runtime)]
        pub trait $exports {
            async fn close(&self, value: $param) -> $result;
        }
    };
}

pub use asyncify as runtime;

host!(FirstHost, First, "first", &str, u32);
host!(SecondHost, Second, "second", u64, i64);

/// The list of a host that only a function knows.
#[must_use]
pub fn in_a_function() -> Vec<String> {
    struct Local;

    #[asyncify::imports(module = "env")]
    impl Local {
        async fn sleep(&self, ms: u32) {
            let _ = ms;
        }
    }

    Local::IMPORTS.iter().map(ToString::to_string).collect()
}
