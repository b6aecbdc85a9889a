impl Host {
    /// Reads a page.
    ///
    /// The answer is a count.
    async fn fetch(&self, url: &str, out: &mut OutBuf) -> Result<u32, Errno> {
        out.fill(self.client.get(url).await?)
    }
    fn log(&self, line: &str) {
        println!("{line}");
    }
    fn now() -> u64 {
        0
    }
    /// Works in the guest.
    fn intern<T: Send + 'static>(&self, cx: &mut GuestCx<'_, T>, text: &str) -> Handle {
        Handle::new(cx, text)
    }
    fn invoke<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        function: u32,
        arg: i32,
    ) -> Result<(), Trap> {
        cx.call_table(function, arg)
    }
    pub fn new() -> Self {
        Self::default()
    }
}
#[allow(dead_code, deprecated, unused_qualifications, unused_variables)]
const _: () = {
    use ::asyncify::__private as __rt;
    const __HOST: ::core::primitive::bool = __rt::is_shared::<Host>();
    type __Host = __rt::Checked<{ __HOST }, Host>;
    const __IMPORT_0: __rt::ImportInfo = __rt::ImportInfo::new::<
        __rt::Direct,
        Result<u32, Errno>,
    >(
        "env",
        "fetch",
        true,
        &[
            __rt::ParamInfo::by_ref::<str>("url", "&str"),
            __rt::ParamInfo::by_mut::<OutBuf>("out", "&mut OutBuf"),
        ],
        "Result<u32, Errno>",
        "Reads a page.\n\nThe answer is a count.",
    );
    const __IMPORT_1: __rt::ImportInfo = __rt::ImportInfo::new::<
        __rt::Direct,
        (),
    >("env", "log", false, &[__rt::ParamInfo::by_ref::<str>("line", "&str")], "", "");
    const __IMPORT_2: __rt::ImportInfo = __rt::ImportInfo::new::<
        __rt::Direct,
        u64,
    >("env", "now", false, &[], "u64", "");
    const __IMPORT_3: __rt::ImportInfo = __rt::ImportInfo::new::<
        __rt::Direct,
        Handle,
    >(
        "env",
        "intern",
        false,
        &[__rt::ParamInfo::by_ref::<str>("text", "&str")],
        "Handle",
        "Works in the guest.",
    );
    const __IMPORT_4: __rt::ImportInfo = __rt::ImportInfo::new::<
        __rt::Direct,
        Result<(), Trap>,
    >(
        "env",
        "invoke_vi",
        true,
        &[
            __rt::ParamInfo::val::<u32>("function", "u32"),
            __rt::ParamInfo::val::<i32>("arg", "i32"),
        ],
        "Result<(), Trap>",
        "",
    );
    fn __register_0<__T: ::core::marker::Send + 'static>(
        __host: &__rt::Arc<__Host>,
        __imports: &mut __rt::Checked<{ __IMPORT_0.suspending }, __rt::AsyncImports<__T>>,
    ) {
        __imports
            .suspending::<
                (__rt::Ref<str>, (__rt::Mut<OutBuf>, ())),
                __rt::Direct,
                Result<u32, Errno>,
                _,
                _,
                _,
            >(
                &__IMPORT_0,
                __host,
                |__host, (__arg0, (mut __arg1, ()))| async move {
                    let __answer = <Host>::fetch(
                            &__host,
                            ::core::convert::AsRef::as_ref(&__arg0),
                            &mut __arg1,
                        )
                        .await;
                    (__host, __answer, ((), (__arg1, ())))
                },
            );
    }
    fn __register_1<__T: ::core::marker::Send + 'static>(
        __host: &__rt::Arc<__Host>,
        __imports: &mut __rt::Checked<{ __IMPORT_1.suspending }, __rt::AsyncImports<__T>>,
    ) {
        __imports
            .plain::<
                (__rt::Ref<str>, ()),
                __rt::Direct,
                (),
                _,
                _,
            >(&__IMPORT_1, __host, |__host, (__arg0, ())| <Host>::log(__host, __arg0));
    }
    fn __register_2<__T: ::core::marker::Send + 'static>(
        __host: &__rt::Arc<__Host>,
        __imports: &mut __rt::Checked<{ __IMPORT_2.suspending }, __rt::AsyncImports<__T>>,
    ) {
        __imports
            .plain::<
                (),
                __rt::Direct,
                u64,
                _,
                _,
            >(&__IMPORT_2, __host, |__host, ()| <Host>::now());
    }
    fn __register_3<__T: ::core::marker::Send + 'static>(
        __host: &__rt::Arc<__Host>,
        __imports: &mut __rt::Checked<{ __IMPORT_3.suspending }, __rt::AsyncImports<__T>>,
    ) {
        __imports
            .plain_with_guest::<
                (__rt::Ref<str>, ()),
                __rt::Direct,
                Handle,
                _,
                _,
            >(
                &__IMPORT_3,
                __host,
                |__host, __cx, (__arg0, ())| {
                    let __answer = <Host>::intern(
                        __host,
                        __cx,
                        ::core::convert::AsRef::as_ref(&__arg0),
                    );
                    (__answer, ((), ()))
                },
            );
    }
    fn __register_4<__T: ::core::marker::Send + 'static>(
        __host: &__rt::Arc<__Host>,
        __imports: &mut __rt::Checked<{ __IMPORT_4.suspending }, __rt::AsyncImports<__T>>,
    ) {
        __imports
            .trampoline::<
                (__rt::Val<u32>, (__rt::Val<i32>, ())),
                __rt::Direct,
                Result<(), Trap>,
                _,
                _,
            >(
                &__IMPORT_4,
                __host,
                |__host, __cx, (__arg0, (__arg1, ()))| {
                    let __answer = <Host>::invoke(__cx, __arg0, __arg1);
                    (__answer, ((), ((), ())))
                },
            );
    }
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
        const IMPORTS: &'static [__rt::ImportInfo] = &[
            __IMPORT_0,
            __IMPORT_1,
            __IMPORT_2,
            __IMPORT_3,
            __IMPORT_4,
        ];
        fn register<__T: ::core::marker::Send + 'static>(
            __host: __rt::Arc<Host>,
            __imports: &mut __rt::AsyncImports<__T>,
        ) {
            __register_0(&__host, __imports);
            __register_1(&__host, __imports);
            __register_2(&__host, __imports);
            __register_3(&__host, __imports);
            __register_4(&__host, __imports);
        }
    }
};
