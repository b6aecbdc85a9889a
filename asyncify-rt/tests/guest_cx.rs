//! What a host's types and functions can do with the guest in hand.

use std::time::{Duration, Instant};

use asyncify::{FromGuest, Guest, GuestCx, IntoGuest, Module, Trap};
use wasmtime::Engine;

type FiveValues = (u32, u32, u32, u32, u32);

/// Five values, taken as one parameter and given back as one result.
#[derive(Clone, Copy)]
struct Five(FiveValues);

impl FromGuest for Five {
    type Abi = FiveValues;
    fn from_guest<T: Send + 'static>(
        _: &mut GuestCx<'_, T>,
        values: FiveValues,
    ) -> Result<Self, Trap> {
        Ok(Self(values))
    }
}

impl IntoGuest for Five {
    type Abi = FiveValues;
    fn into_guest<T: Send + 'static>(self, _: &mut GuestCx<'_, T>) -> Result<FiveValues, Trap> {
        Ok(self.0)
    }
}

struct Reverse;

#[asyncify::imports(module = "env")]
impl Reverse {
    fn reverse(five: Five) -> Five {
        let (first, second, third, fourth, fifth) = five.0;
        Five((fifth, fourth, third, second, first))
    }
}

#[test]
fn a_type_may_be_five_values() {
    let guest = r#"
        (module
            (import "env" "reverse"
                (func $reverse (param i32 i32 i32 i32 i32) (result i32 i32 i32 i32 i32)))
            (func (export "reverse") (param i32 i32 i32 i32 i32) (result i32 i32 i32 i32 i32)
                local.get 0 local.get 1 local.get 2 local.get 3 local.get 4 call $reverse))"#;
    let module = Module::new(&Engine::default(), guest).unwrap();
    futures::executor::block_on(async {
        let guest = Guest::builder(&module).imports(Reverse).instantiate().await.unwrap();
        let reverse = guest.all_exports().typed::<FiveValues, FiveValues>("reverse").unwrap();
        assert_eq!(reverse.call((1, 2, 3, 4, 5)).await.unwrap(), (5, 4, 3, 2, 1));
    });
}

struct Grow;

#[asyncify::imports(module = "env")]
impl Grow {
    /// The pages there were, or -1.
    fn grow<T: Send + 'static>(cx: &mut GuestCx<'_, T>, pages: u32) -> i64 {
        cx.grow_memory(pages.into()).and_then(|pages| i64::try_from(pages).ok()).unwrap_or(-1)
    }
}

#[test]
fn the_memory_grows_up_to_its_maximum() {
    let guest = r#"
        (module
            (import "env" "grow" (func $grow (param i32) (result i64)))
            (memory (export "memory") 1 3)
            (func (export "grow") (param i32) (result i64) local.get 0 call $grow))"#;
    let module = Module::new(&Engine::default(), guest).unwrap();
    futures::executor::block_on(async {
        let guest = Guest::builder(&module).imports(Grow).instantiate().await.unwrap();
        let grow = guest.all_exports().typed::<(u32,), (i64,)>("grow").unwrap();
        for (pages, expected) in [(1, 1), (2, -1), (1, 2), (0, 3)] {
            assert_eq!(grow.call((pages,)).await.unwrap(), (expected,), "{pages}");
        }
        assert_eq!(guest.with(|cx| cx.memory().len()).await.unwrap(), 3 << 16);
    });
}

#[test]
fn without_a_memory_nothing_grows() {
    let module = Module::new(&Engine::default(), "(module)").unwrap();
    futures::executor::block_on(async {
        let guest = Guest::builder(&module).instantiate().await.unwrap();
        assert_eq!(guest.with(|cx| cx.grow_memory(1)).await.unwrap(), None);
    });
}

/// What is told of a table does not take longer the larger the guest has made it.
#[test]
fn a_large_table_is_not_gone_through() {
    let guest = r#"
        (module
            (table (export "table") 100000000 funcref)
            (elem (i32.const 7) func 0)
            (func))"#;
    let module = Module::new(&Engine::default(), guest).unwrap();
    futures::executor::block_on(async {
        let guest = Guest::builder(&module).instantiate().await.unwrap();
        let start = Instant::now();
        let error = guest.with(|cx| cx.call_table::<(), ()>("table", 8, ()).unwrap_err()).await;
        let text = "the guest exports no function `table[8]`; it exports `table[7]`";
        assert_eq!(error.unwrap().to_string(), text);
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    });
}
