//! What the attributes make stands on its own: whatever its surroundings name, forbid or deny.

#![forbid(unsafe_code)]
#![deny(missing_docs, warnings)]
#![deny(clippy::all, clippy::pedantic)]
#![allow(clippy::unused_async, clippy::unused_self, reason = "nothing is done here")]
#![deny(unreachable_pub, unused_qualifications, missing_debug_implementations)]

extern crate asyncify as renamed;

#[path = "hygiene/constants.rs"]
pub mod constants;
#[path = "hygiene/generated.rs"]
pub mod generated;
#[path = "hygiene/names.rs"]
pub mod names;
#[path = "hygiene/no_prelude.rs"]
pub mod no_prelude;
#[path = "hygiene/other_crate.rs"]
pub mod other_crate;
#[path = "hygiene/shadowed.rs"]
pub mod shadowed;

/// What a block and a trait say about themselves.
#[cfg(test)]
mod tests {
    use asyncify::{Exports, Imports};

    fn imports<H: Imports>() -> Vec<String> {
        H::IMPORTS.iter().map(ToString::to_string).collect()
    }

    fn exports<E: Exports>() -> Vec<(&'static str, bool, &'static str)> {
        E::EXPORTS.iter().map(|export| (export.name, export.suspending, export.result_ty)).collect()
    }

    #[test]
    fn no_prelude() {
        use super::no_prelude::{AppExports, Host};
        assert_eq!(
            imports::<Host>(),
            [
                "env.fetch: (i32, i32, i32, i32) -> (i32)",
                "env.log: (i32, i32) -> ()",
                "env.intern: (i32, i32, i32, i32) -> (i32)",
                "env.title: (i32) -> (i32)",
            ]
        );
        assert_eq!(Host::IMPORTS.len(), 4);
        assert_eq!(
            Host::IMPORTS[0].doc,
            "Reads a page.\n\nThe answer is a count.\n\n# Errors\nNever."
        );
        assert_eq!(Host::IMPORTS[0].params[1].ty, "&mut ::asyncify::OutBuf");
        assert_eq!(Host::wasm_opt_args(), "--pass-arg=asyncify-imports@env.fetch,env.title");
        assert_eq!(
            exports::<AppExports>(),
            [
                ("run", true, "u32"),
                ("greet_user", true, "::std::string::String"),
                ("quit", false, "")
            ]
        );
    }

    #[test]
    fn shadowed() {
        use super::shadowed::{AppExports, Host};
        assert_eq!(imports::<Host>(), ["env.open: (i32, i32) -> (i32)", "env.size: () -> (i64)"]);
        assert_eq!(exports::<AppExports>(), [("run", true, "Result")]);
    }

    #[test]
    fn constants() {
        use super::constants::{AppExports, Host};
        assert_eq!(
            imports::<Host>(),
            [
                "env.open: (i32, i32, i32, i32) -> (i32)",
                "env.log: (i32, i32, i32) -> ()",
                "env.intern: (i32, i32) -> (i32)"
            ]
        );
        assert_eq!(exports::<AppExports>(), [("run", true, "u32"), ("quit", false, "")]);
    }

    #[test]
    fn names() {
        use super::names::{AppExports, Host};
        let names: Vec<_> = Host::IMPORTS.iter().map(|import| import.name).collect();
        let expected =
            ["host", "type", "len", "LEN", "by_system", "register", "clone", "out_of_use"];
        assert_eq!(names, expected);
        assert_eq!(Host::IMPORTS[0].params[0].name, "host");
        let names: Vec<_> = exports::<AppExports>().iter().map(|export| export.0).collect();
        assert_eq!(
            names,
            ["call", "clone", "lookup", "type", "by_system", "out_of_use", "onEvent"]
        );
    }

    #[test]
    fn generated() {
        use super::generated::{FirstExports, FirstHost, SecondHost};
        assert_eq!(imports::<FirstHost>(), ["first.open: (i32, i32) -> (i32)"]);
        assert_eq!(imports::<SecondHost>(), ["second.open: (i64) -> (i64)"]);
        assert_eq!(exports::<FirstExports>(), [("close", true, "u32")]);
        assert_eq!(super::generated::in_a_function(), ["env.sleep: (i32) -> ()"]);
    }

    #[test]
    fn other_crate() {
        use super::other_crate::{AppExports, Host};
        assert_eq!(imports::<Host>(), ["env.sleep: (i32) -> ()"]);
        assert_eq!(exports::<AppExports>(), [("run", true, "")]);
    }
}
