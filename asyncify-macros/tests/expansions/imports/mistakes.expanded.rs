::core::compile_error! {
    "unknown key `modul`, expected one of: `module`, `crate`, `part`, `parts`; did you mean `module`?"
}
::core::compile_error! {
    "unknown key `nam`, expected one of: `module`, `name`, `result`, `skip`, `trampoline`; did you mean `name`?"
}
::core::compile_error! {
    "an import takes `&self`, because the guest may call it again; write `&self`"
}
::core::compile_error! {
    "an import cannot be generic, because a guest passes wasm values; write the types out, or take `cx: &mut GuestCx<'_, T>` first in a function that works in the guest"
}
::core::compile_error! {
    "`Self` is no type that crosses to a guest; name another type, or leave the function out by `#[asyncify(skip)]`"
}
impl Host {
    fn owned(self) {}
    fn generic<T>(&self, value: T) -> Self {}
}
#[allow(dead_code, deprecated, unused_qualifications, unused_variables)]
const _: () = {
    use ::asyncify::__private as __rt;
    #[automatically_derived]
    impl Host {
        /// Every import of this host, as the guest sees it.
        pub const IMPORTS: &'static [__rt::ImportInfo] = <Self as __rt::Imports>::IMPORTS;
        /// What `wasm-opt` needs to instrument a guest of this host.
        #[must_use]
        pub fn wasm_opt_args() -> __rt::String {
            __rt::host_wasm_opt_args::<Self>()
        }
    }
    #[automatically_derived]
    impl __rt::Imports for Host {
        const IMPORTS: &'static [__rt::ImportInfo] = &[];
        fn register<__T: ::core::marker::Send + 'static>(
            _: __rt::Arc<Host>,
            _: &mut __rt::AsyncImports<__T>,
        ) {}
    }
};
