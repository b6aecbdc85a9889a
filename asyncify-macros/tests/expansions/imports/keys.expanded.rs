impl host::Host<File> {
    async fn title(&self) -> String {
        String::new()
    }
    #[cfg(unix)]
    fn r#type(&self, _: [u8; 4]) {}
    #[cfg(windows)]
    fn r#type(&self, _: [u8; 8]) {}
}
#[allow(dead_code, deprecated, unused_qualifications, unused_variables)]
const _: () = {
    use renamed::asyncify::__private as __rt;
    const __HOST: ::core::primitive::bool = __rt::is_shared::<host::Host<File>>();
    type __Host = __rt::Checked<{ __HOST }, host::Host<File>>;
    const __IMPORT_0: __rt::ImportInfo = __rt::ImportInfo::new::<
        __rt::OutPtr,
        String,
    >("a", "b", true, &[], "String", "");
    #[cfg(unix)]
    const __IMPORT_1: __rt::ImportInfo = __rt::ImportInfo::new::<
        __rt::Direct,
        (),
    >("a", "type", false, &[__rt::ParamInfo::val::<[u8; 4]>("_", "[u8; 4]")], "", "");
    #[cfg(windows)]
    const __IMPORT_2: __rt::ImportInfo = __rt::ImportInfo::new::<
        __rt::Direct,
        (),
    >("a", "type", false, &[__rt::ParamInfo::val::<[u8; 8]>("_", "[u8; 8]")], "", "");
    fn __register_0<__T: ::core::marker::Send + 'static>(
        __host: &__rt::Arc<__Host>,
        __imports: &mut __rt::Checked<{ __IMPORT_0.suspending }, __rt::AsyncImports<__T>>,
    ) {
        __imports
            .suspending::<
                (),
                __rt::OutPtr,
                String,
                _,
                _,
                _,
            >(
                &__IMPORT_0,
                __host,
                |__host, ()| async move {
                    let __answer = <host::Host<File>>::title(&__host).await;
                    (__host, __answer, ())
                },
            );
    }
    #[cfg(unix)]
    fn __register_1<__T: ::core::marker::Send + 'static>(
        __host: &__rt::Arc<__Host>,
        __imports: &mut __rt::Checked<{ __IMPORT_1.suspending }, __rt::AsyncImports<__T>>,
    ) {
        __imports
            .plain::<
                (__rt::Val<[u8; 4]>, ()),
                __rt::Direct,
                (),
                _,
                _,
            >(
                &__IMPORT_1,
                __host,
                |__host, (__arg0, ())| <host::Host<File>>::r#type(__host, __arg0),
            );
    }
    #[cfg(windows)]
    fn __register_2<__T: ::core::marker::Send + 'static>(
        __host: &__rt::Arc<__Host>,
        __imports: &mut __rt::Checked<{ __IMPORT_2.suspending }, __rt::AsyncImports<__T>>,
    ) {
        __imports
            .plain::<
                (__rt::Val<[u8; 8]>, ()),
                __rt::Direct,
                (),
                _,
                _,
            >(
                &__IMPORT_2,
                __host,
                |__host, (__arg0, ())| <host::Host<File>>::r#type(__host, __arg0),
            );
    }
    #[automatically_derived]
    impl host::Host<File> {
        /// Every import of this host, as the guest sees it.
        pub const IMPORTS: &'static [__rt::ImportInfo] = <Self as __rt::Imports>::IMPORTS;
        /// What `wasm-opt` needs to instrument a guest of this host.
        #[must_use]
        pub fn wasm_opt_args() -> __rt::String {
            __rt::host_wasm_opt_args::<Self>()
        }
    }
    #[automatically_derived]
    impl __rt::Imports for host::Host<File> {
        const IMPORTS: &'static [__rt::ImportInfo] = &[
            __IMPORT_0,
            #[cfg(unix)]
            __IMPORT_1,
            #[cfg(windows)]
            __IMPORT_2,
        ];
        fn register<__T: ::core::marker::Send + 'static>(
            __host: __rt::Arc<host::Host<File>>,
            __imports: &mut __rt::AsyncImports<__T>,
        ) {
            __register_0(&__host, __imports);
            #[cfg(unix)] __register_1(&__host, __imports);
            #[cfg(windows)] __register_2(&__host, __imports);
        }
    }
};
