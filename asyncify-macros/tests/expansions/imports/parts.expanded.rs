impl Host {
    async fn open(&self) -> u32 {
        3
    }
}
#[allow(dead_code, deprecated, unused_qualifications, unused_variables)]
const _: () = {
    use ::asyncify::__private as __rt;
    const __HOST: ::core::primitive::bool = __rt::is_shared::<Host>();
    type __Host = __rt::Checked<{ __HOST }, Host>;
    const __IMPORT_0: __rt::ImportInfo = __rt::ImportInfo::new::<
        __rt::Direct,
        u32,
    >("files", "open", true, &[], "u32", "");
    fn __register_0<__T: ::core::marker::Send + 'static>(
        __host: &__rt::Arc<__Host>,
        __imports: &mut __rt::Checked<{ __IMPORT_0.suspending }, __rt::AsyncImports<__T>>,
    ) {
        __imports
            .suspending::<
                (),
                __rt::Direct,
                u32,
                _,
                _,
                _,
            >(
                &__IMPORT_0,
                __host,
                |__host, ()| async move {
                    let __answer = <Host>::open(&__host).await;
                    (__host, __answer, ())
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
    const __PART_0: ::core::primitive::bool = __rt::is_part::<net::Net, Host>();
    #[automatically_derived]
    impl __rt::ListedBy<Host> for net::Net {}
    const __PART_1: ::core::primitive::bool = __rt::is_part::<Clock, Host>();
    #[automatically_derived]
    impl __rt::ListedBy<Host> for Clock {}
    #[automatically_derived]
    impl __rt::Imports for Host {
        const IMPORTS: &'static [__rt::ImportInfo] = {
            const __LISTS: &[&[__rt::ImportInfo]] = &[
                &[__IMPORT_0],
                <__rt::Checked<{ __PART_0 }, net::Net> as __rt::PartOf<Host>>::IMPORTS,
                <__rt::Checked<{ __PART_1 }, Clock> as __rt::PartOf<Host>>::IMPORTS,
            ];
            &__rt::join::<{ __rt::total(__LISTS) }>(__LISTS)
        };
        fn register<__T: ::core::marker::Send + 'static>(
            __host: __rt::Arc<Host>,
            __imports: &mut __rt::AsyncImports<__T>,
        ) {
            __register_0(&__host, __imports);
            <__rt::Checked<
                { __PART_0 },
                net::Net,
            > as __rt::PartOf<Host>>::register(__rt::Arc::clone(&__host), __imports);
            <__rt::Checked<
                { __PART_1 },
                Clock,
            > as __rt::PartOf<Host>>::register(__rt::Arc::clone(&__host), __imports);
        }
    }
};
impl Host {
    fn close(&self) {}
}
#[allow(dead_code, deprecated, unused_qualifications, unused_variables)]
const _: () = {
    use ::asyncify::__private as __rt;
    const __HOST: ::core::primitive::bool = __rt::is_shared::<Host>();
    type __Host = __rt::Checked<{ __HOST }, Host>;
    const __IMPORT_0: __rt::ImportInfo = __rt::ImportInfo::new::<
        __rt::Direct,
        (),
    >("net", "close", false, &[], "", "");
    fn __register_0<__T: ::core::marker::Send + 'static>(
        __host: &__rt::Arc<__Host>,
        __imports: &mut __rt::Checked<{ __IMPORT_0.suspending }, __rt::AsyncImports<__T>>,
    ) {
        __imports
            .plain::<
                (),
                __rt::Direct,
                (),
                _,
                _,
            >(&__IMPORT_0, __host, |__host, ()| <Host>::close(__host));
    }
    const _: ::core::primitive::bool = __rt::is_listed::<net::Net, Host>();
    #[automatically_derived]
    impl __rt::PartOf<Host> for net::Net {
        const IMPORTS: &'static [__rt::ImportInfo] = &[__IMPORT_0];
        fn register<__T: ::core::marker::Send + 'static>(
            __host: __rt::Arc<Host>,
            __imports: &mut __rt::AsyncImports<__T>,
        ) {
            __register_0(&__host, __imports);
        }
    }
};
::core::compile_error! {
    "a part has no parts; list all of them in the one block that is none"
}
::core::compile_error! {
    "the part `Net` is listed twice; list it once"
}
impl Host {}
#[allow(dead_code, deprecated, unused_qualifications, unused_variables)]
const _: () = {
    use ::asyncify::__private as __rt;
    #[automatically_derived]
    impl __rt::ListedBy<Host> for Net {}
    #[automatically_derived]
    impl __rt::PartOf<Host> for Clock {
        const IMPORTS: &'static [__rt::ImportInfo] = &[];
        fn register<__T: ::core::marker::Send + 'static>(
            _: __rt::Arc<Host>,
            _: &mut __rt::AsyncImports<__T>,
        ) {}
    }
};
