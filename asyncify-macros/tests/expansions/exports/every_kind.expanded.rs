#[allow(async_fn_in_trait, dead_code)]
/// An application.
#[expect(non_snake_case, reason = "the guest's names")]
pub(crate) trait App {
    /// Works on so many pages.
    #[must_use]
    async fn run(&self, pages: u32) -> u32;
    async fn greet(
        &self,
        name: &str,
        _: &[u8],
        times: (i32, f64),
    ) -> Result<String, Errno>;
    #[cfg(feature = "extra")]
    fn version(&self);
    #[allow(clippy::too_many_arguments)]
    #[cfg_attr(unix, cfg(feature = "extra"), inline, must_use)]
    async fn onEvent(&self, theEvent: u32);
}
/// The guest's exports that [`App`] lists, made by `guest.exports()`.
///
/// An application.
#[allow(dead_code, unused_qualifications)]
#[allow(non_snake_case, reason = "the guest's names")]
#[derive(::core::clone::Clone, ::core::fmt::Debug)]
pub(crate) struct AppExports {
    run: ::asyncify::__private::ExportFn<
        ::asyncify::__private::Checked<
            { AppExports::__EXPORT_0.suspending },
            (::asyncify::__private::Val<u32>, ()),
        >,
        ::asyncify::__private::Checked<
            { AppExports::__EXPORT_0.suspending },
            ::asyncify::__private::Direct,
        >,
        ::asyncify::__private::Checked<{ AppExports::__EXPORT_0.suspending }, u32>,
    >,
    greet: ::asyncify::__private::ExportFn<
        ::asyncify::__private::Checked<
            { AppExports::__EXPORT_1.suspending },
            (
                ::asyncify::__private::Ref<str>,
                (
                    ::asyncify::__private::Ref<[u8]>,
                    (::asyncify::__private::Val<(i32, f64)>, ()),
                ),
            ),
        >,
        ::asyncify::__private::Checked<
            { AppExports::__EXPORT_1.suspending },
            ::asyncify::__private::OutPtr,
        >,
        ::asyncify::__private::Checked<
            { AppExports::__EXPORT_1.suspending },
            Result<String, Errno>,
        >,
    >,
    #[cfg(feature = "extra")]
    version: ::asyncify::__private::ExportFn<
        ::asyncify::__private::Checked<{ AppExports::__EXPORT_2.suspending }, ()>,
        ::asyncify::__private::Checked<
            { AppExports::__EXPORT_2.suspending },
            ::asyncify::__private::Direct,
        >,
        ::asyncify::__private::Checked<{ AppExports::__EXPORT_2.suspending }, ()>,
    >,
    #[cfg_attr(unix, cfg(feature = "extra"))]
    #[allow(clippy::too_many_arguments)]
    onEvent: ::asyncify::__private::ExportFn<
        ::asyncify::__private::Checked<
            { AppExports::__EXPORT_3.suspending },
            (::asyncify::__private::Val<u32>, ()),
        >,
        ::asyncify::__private::Checked<
            { AppExports::__EXPORT_3.suspending },
            ::asyncify::__private::Direct,
        >,
        ::asyncify::__private::Checked<{ AppExports::__EXPORT_3.suspending }, ()>,
    >,
}
#[allow(dead_code, deprecated, unused_qualifications, unused_variables)]
const _: () = {
    use ::asyncify::__private as __rt;
    #[automatically_derived]
    #[allow(non_snake_case, reason = "the guest's names")]
    impl AppExports {
        const __EXPORT_0: __rt::ExportInfo = __rt::ExportInfo::new::<
            __rt::Direct,
            u32,
        >(
            "run",
            true,
            &[__rt::ParamInfo::arg_val::<u32>("pages", "u32")],
            "u32",
            "Works on so many pages.",
        );
        const __EXPORT_1: __rt::ExportInfo = __rt::ExportInfo::new::<
            __rt::OutPtr,
            Result<String, Errno>,
        >(
            "greet_user",
            true,
            &[
                __rt::ParamInfo::arg_by_ref::<str>("name", "&str"),
                __rt::ParamInfo::arg_by_ref::<[u8]>("_", "&[u8]"),
                __rt::ParamInfo::arg_val::<(i32, f64)>("times", "(i32, f64)"),
            ],
            "Result<String, Errno>",
            "",
        );
        #[cfg(feature = "extra")]
        const __EXPORT_2: __rt::ExportInfo = __rt::ExportInfo::new::<
            __rt::Direct,
            (),
        >("version", false, &[], "", "");
        #[cfg_attr(unix, cfg(feature = "extra"))]
        const __EXPORT_3: __rt::ExportInfo = __rt::ExportInfo::new::<
            __rt::Direct,
            (),
        >(
            "onEvent",
            true,
            &[__rt::ParamInfo::arg_val::<u32>("theEvent", "u32")],
            "",
            "",
        );
        /// Works on so many pages.
        #[must_use]
        #[inline]
        pub(crate) fn run(&self, pages: u32) -> __rt::Call<u32> {
            self.run.call((pages, ()))
        }
        /// Calls the guest's `greet_user`.
        #[inline]
        pub(crate) fn greet(
            &self,
            name: &str,
            __arg1: &[u8],
            times: (i32, f64),
        ) -> __rt::Call<Result<String, Errno>> {
            self.greet
                .call((
                    ::core::convert::Into::into(name),
                    (::core::convert::Into::into(__arg1), (times, ())),
                ))
        }
        #[cfg(feature = "extra")]
        /// Calls the guest's `version`.
        #[inline]
        pub(crate) fn version(
            &self,
        ) -> impl ::core::future::Future<
            Output = __rt::Result<()>,
        > + ::core::marker::Send + use<'_> {
            self.version.call_plain(())
        }
        #[allow(clippy::too_many_arguments)]
        #[cfg_attr(unix, cfg(feature = "extra"), must_use)]
        /// Calls the guest's `onEvent`.
        #[inline]
        pub(crate) fn onEvent(&self, theEvent: u32) -> __rt::Call<()> {
            self.onEvent.call((theEvent, ()))
        }
    }
    #[automatically_derived]
    impl __rt::Exports for AppExports {
        const NAME: &'static ::core::primitive::str = "App";
        const EXPORTS: &'static [__rt::ExportInfo] = &[
            Self::__EXPORT_0,
            Self::__EXPORT_1,
            #[cfg(feature = "extra")]
            Self::__EXPORT_2,
            #[cfg_attr(unix, cfg(feature = "extra"))]
            Self::__EXPORT_3,
        ];
        fn from_guest_exports<__T: ::core::marker::Send + 'static>(
            __lookup: &mut __rt::ExportLookup<'_, __T>,
        ) -> ::core::option::Option<Self> {
            let __arg0 = __lookup.function(&Self::__EXPORT_0);
            let __arg1 = __lookup.function(&Self::__EXPORT_1);
            #[cfg(feature = "extra")]
            let __arg2 = __lookup.function(&Self::__EXPORT_2);
            #[cfg_attr(unix, cfg(feature = "extra"))]
            let __arg3 = __lookup.function(&Self::__EXPORT_3);
            ::core::option::Option::Some(Self {
                run: __arg0?,
                greet: __arg1?,
                #[cfg(feature = "extra")]
                version: __arg2?,
                #[cfg_attr(unix, cfg(feature = "extra"))]
                onEvent: __arg3?,
            })
        }
    }
};
