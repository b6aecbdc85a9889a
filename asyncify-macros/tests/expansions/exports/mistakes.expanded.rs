::core::compile_error! {
    "`module` is no key of `#[asyncify::exports]`; `module = \"…\"` belongs in `#[asyncify::imports]`"
}
::core::compile_error! {
    "an export's body is in the guest; write `;` instead, and put helpers into `impl AppExports`"
}
::core::compile_error! {
    "an export takes `&self`, because several calls share the guest; write `&self` instead of `&mut self`"
}
::core::compile_error! {
    "an argument of an export cannot be `&mut`, because it is copied into the guest; return what changes"
}
#[allow(async_fn_in_trait, dead_code)]
trait App {
    async fn run(&mut self, pages: &mut u32) -> u32;
    fn version(&self) -> u32 {
        1
    }
}
/// The guest's exports that [`App`] lists, made by `guest.exports()`.
#[allow(dead_code)]
#[derive(::core::clone::Clone, ::core::fmt::Debug)]
struct AppExports {
    never: ::core::convert::Infallible,
}
#[allow(dead_code, deprecated, unused_qualifications, unused_variables)]
const _: () = {
    use ::asyncify::__private as __rt;
    #[automatically_derived]
    impl AppExports {
        /// Calls the guest's `run`.
        fn run(&self, _arg1: &mut u32) -> __rt::Call<u32> {
            match self.never {}
        }
        /// Calls the guest's `version`.
        fn version(&self) -> __rt::Call<u32> {
            match self.never {}
        }
    }
    #[automatically_derived]
    impl __rt::Exports for AppExports {
        const NAME: &'static ::core::primitive::str = "App";
        const EXPORTS: &'static [__rt::ExportInfo] = &[];
        fn from_guest_exports<__T: ::core::marker::Send + 'static>(
            _: &mut __rt::ExportLookup<'_, __T>,
        ) -> ::core::option::Option<Self> {
            ::core::option::Option::None
        }
    }
};
