//! What is told by syntax alone, written out and compared. No attribute is parsed here.

use super::*;

#[test]
fn types_as_written() {
    for ty in [
        "&str",
        "&'a str",
        "&mut OutBuf",
        "&mut [u8]",
        "(u32, f64)",
        "()",
        "[u8; 4]",
        "Result<Vec<u8>, Errno>",
        "std::result::Result<(), Trap>",
        "fn(u32) -> u32",
        "Box<dyn Fn(u8) -> u8 + Send>",
        "Foo<Item = u8>",
        "*const u8",
        "&mut ::a::B",
        "*const (u8, u8)",
        "Foo::<u8>",
        "!",
        "r#type",
    ] {
        let parsed: Type = syn::parse_str(ty).unwrap();
        assert_eq!(type_text(&parsed), ty);
    }
}

#[test]
fn docs_are_joined() {
    let item: syn::ItemStruct = syn::parse_quote! {
        /// One.
        ///
        ///  - two
        #[doc = "three\n four"]
        #[doc(hidden)]
        struct S;
    };
    assert_eq!(docs(&item.attrs), "One.\n\n - two\nthree\nfour");
}

#[test]
fn conditions_are_found() {
    let item: syn::ItemStruct = parse_quote! {
        #[cfg(unix)]
        #[allow(dead_code)]
        #[cfg_attr(test, cfg(any()), allow(dead_code))]
        #[cfg_attr(test, allow(dead_code))]
        struct S;
    };
    let found: Vec<_> = cfgs(&item.attrs).iter().map(type_text).collect();
    assert_eq!(
        found,
        ["# [cfg(unix)]", "# [cfg_attr(test, cfg(any()))]"].map(|s| s.replace("# ", "#"))
    );
}

#[test]
fn the_guest_is_told_by_the_type_parameter() {
    let guest = |sig: &str| guest_param(&syn::parse_str(sig).unwrap()).is_some();
    assert!(guest("fn f<T: Send + 'static>(&self, cx: &mut GuestCx<'_, T>)"));
    assert!(guest("fn f<'a, D>(any: &mut some::Alias<D>, other: u32)"));
    assert!(!guest("fn f(&self, cx: &mut GuestCx<'_, u32>)"));
    assert!(!guest("fn f<T, U>(&self, cx: &mut GuestCx<'_, T>)"));
    assert!(!guest("fn f<T>(&self, cx: &GuestCx<'_, T>)"));
    assert!(!guest("fn f<T>(&self, a: u32, cx: &mut GuestCx<'_, T>)"));
}
