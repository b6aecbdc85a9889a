//! Each rule of `check` by its first words, through all phases and without a compiler: how it is
//! shown is in the facade's `tests/ui`.

use syn::{Item, LitStr};

/// The messages of an annotated item.
fn messages(expanded: proc_macro2::TokenStream) -> Vec<String> {
    let file: syn::File = syn::parse2(expanded).unwrap();
    let messages = file.items.into_iter().filter_map(|item| match item {
        Item::Macro(item) => item.mac.parse_body::<LitStr>().ok(),
        _ => None,
    });
    messages.map(|message| message.value()).collect()
}

fn of_imports(functions: &str) -> Vec<String> {
    let block = format!("impl Host {{ {functions} }}").parse().unwrap();
    messages(super::imports(quote::quote!(module = "env"), &block))
}

fn of_exports(functions: &str) -> Vec<String> {
    let list = format!("trait App {{ {functions} }}").parse().unwrap();
    messages(super::exports(quote::quote!(), &list))
}

fn compare(of: fn(&str) -> Vec<String>, table: &[(&str, &[&str])]) {
    for (functions, expected) in table {
        let messages = of(functions);
        let all = messages.len() == expected.len()
            && messages.iter().zip(*expected).all(|(message, start)| message.starts_with(start));
        assert!(all, "{functions}: {messages:#?}");
    }
}

#[test]
fn imports() {
    compare(
        of_imports,
        &[
            ("", &[]),
            ("async fn f(&self, a: &str, b: &mut OutBuf, c: u32) -> Result<u32, Errno> { a }", &[]),
            ("fn f<'a>(&'a self, a: &'a str, _: (u8, u8)) -> &'static str {}", &[]),
            ("fn f<T: Send + 'static>(cx: &mut GuestCx<'_, T>, a: u32) {}", &[]),
            ("#[asyncify(skip)] unsafe fn f<T>(self, (a, b): T) -> Self {}", &[]),
            ("const N: u32 = 1;", &[]),
            ("fn f(self) {}", &["an import takes `&self`, because the guest may call it again"]),
            ("fn f(&mut self) {}", &["an import takes `&self`, because several calls"]),
            ("fn f(self: &Self) {}", &["an import takes `&self` or no `self`"]),
            ("fn f<N>(a: N) {}", &["an import cannot be generic"]),
            ("fn f() where u32: Copy {}", &["an import cannot be generic"]),
            ("const fn f() {}", &["an import cannot be `const`"]),
            ("unsafe fn f() {}", &["an import cannot be `unsafe`"]),
            ("extern \"C\" fn f() {}", &["an import cannot be `extern`"]),
            ("fn f(_: ...) {}", &["an import cannot be variadic"]),
            (
                "fn f(ref a: u32, b @ _: u32) {}",
                &["a parameter of an import", "a parameter of an import"],
            ),
            (
                "fn f(a: impl Copy, b: Self) {}",
                &["an import has no `impl Trait`", "`Self` is no type"],
            ),
            ("fn f(a: Option<Cow<'_, str>>) {}", &["only a whole parameter can borrow"]),
            ("fn f(a: Lookup<fn(&str) -> u32>) -> Lookup<dyn Fn(&str, Cow<'_, str>)> {}", &[]),
            ("fn f(a: Lookup<for<'a> fn(&'a u8)>) -> Lookup<dyn for<'a> Look<&'a str>> {}", &[]),
            ("fn f(a: Lookup<for<'a> fn(&'a u8, &'b u8)>) {}", &["only a whole parameter can"]),
            ("fn f() -> Lookup<dyn for<'a> Look<&'a str, &u8>> {}", &["a result cannot borrow"]),
            ("fn f(a: &'static str) {}", &["what a guest passes is lent for one call"]),
            ("fn f(a: &mut [u8]) {}", &["`&mut [u8]` cannot be lent"]),
            ("fn f(a: &mut View<'_>) {}", &["`&mut View<'_>` cannot be lent"]),
            ("fn f() -> impl Future<Output = u32> {}", &["a function that waits is an `async fn`"]),
            ("fn f() -> &str {}", &["a result cannot borrow"]),
            ("fn f() -> Cow<'_, str> {}", &["a result cannot borrow"]),
            ("fn f() -> ! {}", &["a result cannot be `!`"]),
            ("fn f(a: _) {}", &[]),
            ("fn f() {} fn f() {}", &[]),
            ("#[cfg(a)] fn f() {} #[cfg(b)] fn f() {}", &[]),
            (
                "fn f() {} #[asyncify(name = \"f\")] fn g() {}",
                &["two functions are the import `env.f`"],
            ),
            ("fn f() {} #[asyncify(name = \"f\", module = \"other\")] fn g() {}", &[]),
            (
                "async fn f<T>(cx: &mut GuestCx<'_, T>) {}",
                &["an `async` import runs without the guest"],
            ),
            (
                "fn f<T>(cx: &mut GuestCx<'_, T>, a: T) -> Vec<T> {}",
                &["`T` is the guest's", "`T` is the guest's"],
            ),
            ("made!();", &["`#[asyncify::imports]` cannot see what a macro makes"]),
        ],
    );
}

#[test]
fn exports() {
    compare(
        of_exports,
        &[
            ("", &[]),
            ("async fn f(&self, a: &str, _: u32) -> Result<u32, Errno>; fn g(&self);", &[]),
            ("fn f();", &["an export takes `&self`, the guest"]),
            ("fn f(&mut self);", &["an export takes `&self`, because"]),
            ("fn f<'a>(&self, a: &'a str);", &["an export has no lifetimes"]),
            ("fn f<'a, T>(&self, a: &'a str, b: T);", &["an export cannot be generic"]),
            ("pub async fn f(&self);", &[]),
            ("fn f(&self) {}", &["an export's body is in the guest"]),
            ("fn f(&self, a: &mut Cow<'_, str>);", &["an argument of an export cannot be `&mut`"]),
            ("fn f(&self) -> Self;", &["`Self` is no type"]),
            ("fn f(&self) -> impl Copy;", &["an export has no `impl Trait`"]),
            (
                "const N: u32; type T;",
                &["an exports trait lists functions", "an exports trait lists functions"],
            ),
            (
                "fn f(&self); #[asyncify(name = \"f\")] fn g(&self);",
                &["two functions are the export `f`"],
            ),
        ],
    );
}
