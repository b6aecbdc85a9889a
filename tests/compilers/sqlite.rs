//! SQLite, as npm has it, runs a deep query while another query waits, by the default policy.
//!
//! The module does not tell how large its stack is: the region that the second call runs in is as
//! large as what lies between the top of the stack and the data below it. See `.ci/sqlite`.

use std::error::Error;
use std::sync::Arc;

use asyncify::wasmtime::Engine;
use asyncify::{Guest, GuestCx, IntoGuest, Module, Place, Slice, Trap};
use tokio::sync::{Notify, OnceCell};

const MODULE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/compilers/node_modules/wa-sqlite/dist/wa-sqlite-async.wasm"
);
/// 42, after hundreds of steps.
const SLOW: &str = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 41) SELECT max(x) + 1 FROM n";
/// Views within each other. Each is a few calls of SQLite's, with all of their frames.
const DEPTH: i32 = 260;
const OK: i32 = 0;
const ROW: i32 = 100;
const DONE: i32 = 101;

/// SQLite's functions, under their minified names.
#[asyncify::exports]
trait Sqlite {
    #[asyncify(name = "ya")]
    async fn prepare(&self, db: u32, sql: CText, len: i32, out: u32, tail: u32) -> i32;
    #[asyncify(name = "za")]
    async fn step(&self, statement: u32) -> i32;
    #[asyncify(name = "Ca")]
    async fn finalize(&self, statement: u32) -> i32;
}

/// The one import that the queries come to, beside the clock.
#[derive(Default)]
struct Host {
    called: Notify,
    go_on: OnceCell<()>,
    answer: Notify,
}

#[asyncify::imports(module = "a")]
impl Host {
    /// The progress handler, which may end a query by another answer. It waits when it is first asked.
    #[asyncify(name = "ca")]
    async fn progress(&self, _db: u32) -> i32 {
        let wait = || async {
            self.called.notify_one();
            self.answer.notified().await;
        };
        self.go_on.get_or_init(wait).await;
        0
    }

    /// The environment has no variables.
    #[asyncify(name = "B")]
    fn environ_sizes<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        count: u32,
        bytes: u32,
    ) -> Result<u32, Trap> {
        cx.write(count, &[0; 4])?;
        cx.write(bytes, &[0; 4])?;
        Ok(0)
    }

    #[asyncify(name = "A")]
    fn environ(_pointers: u32, _bytes: u32) -> u32 {
        0
    }

    /// Milliseconds, of whatever time.
    #[asyncify(name = "d")]
    fn now() -> f64 {
        0.0
    }

    #[asyncify(name = "e")]
    fn date() -> f64 {
        0.0
    }
}

struct CText(String);

impl IntoGuest for CText {
    type Abi = u32;

    fn into_guest<T: Send + 'static>(self, cx: &mut GuestCx<'_, T>) -> Result<u32, Trap> {
        Ok(cx.place(&[self.0.as_bytes(), b"\0"].concat())?.ptr)
    }
}

type Answer = Result<Option<i32>, Box<dyn Error>>;

/// A connection to a database in memory.
struct Connection {
    guest: Guest,
    sqlite: SqliteExports,
    db: u32,
    out: Slice,
}

impl Connection {
    async fn open(guest: &Guest) -> Result<Self, Box<dyn Error>> {
        let open = |cx: &mut GuestCx<'_, ()>| -> asyncify::Result<(u32, Slice)> {
            let (path, out) = (cx.place(b":memory:\0")?, cx.place(&[0; 4])?);
            // `sqlite3_open_v2`, to read, write and create
            let code: i32 = cx.call("qb", (path.ptr, out.ptr, 6, 0))?;
            assert_eq!(code, OK, "it does not open");
            let db = word(cx, out.ptr);
            Ok((db, out))
        };
        let (db, out) = guest.with(open).await??;
        Ok(Self { guest: guest.clone(), sqlite: guest.exports()?, db, out })
    }

    /// The number in the first column of the first row, if there is one.
    async fn query(&self, sql: &str) -> Answer {
        let code = self.sqlite.prepare(self.db, CText(sql.to_owned()), -1, self.out.ptr, 0).await?;
        if code != OK {
            return Err(format!("{sql}: SQLite's error {code}").into());
        }
        let out = self.out.ptr;
        let statement = self.guest.with(|cx| word(cx, out)).await?;
        let value = match self.sqlite.step(statement).await? {
            // `sqlite3_column_int`
            ROW => Some(self.guest.with(|cx| cx.call("Ba", (statement, 0))).await??),
            DONE => None,
            code => return Err(format!("{sql}: SQLite's error {code}").into()),
        };
        self.sqlite.finalize(statement).await?;
        Ok(value)
    }
}

fn word(cx: &GuestCx<'_, ()>, address: u32) -> u32 {
    let bytes = cx.read(address, 4).ok().and_then(|bytes| bytes.first_chunk().copied());
    bytes.map_or(0, u32::from_le_bytes)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let module = Module::from_file(&Engine::default(), MODULE)?;
    let findings = module.findings();
    println!("{}", findings.stack_pointer());
    println!("size told: {:?}, bounds: {:x?}", findings.stack_size(), findings.stack_bounds());
    // Else this module is none that shows anything.
    assert_eq!(findings.stack_size(), None);

    let nested = nested(&module, None).await?;
    println!("by default: {nested:?}");
    assert_eq!(nested?, Some(DEPTH + 1));

    // The query does need more than what a region has where nothing at all is known.
    let nested = self::nested(&module, Some(64 << 10)).await?;
    println!("in regions of 64 KiB: {nested:?}");
    let overflow = nested.err().and_then(|error| error.downcast::<asyncify::Error>().ok());
    assert!(matches!(overflow.as_deref(), Some(asyncify::Error::ShadowStackOverflow { .. })));
    Ok(())
}

/// What the deep query gives while another one waits, which has to be right in any case.
async fn nested(module: &Module, region: Option<u64>) -> Result<Answer, Box<dyn Error>> {
    let host = Arc::new(Host::default());
    let mut builder = Guest::builder(module)
        .shared_imports(Arc::clone(&host))
        // `malloc` and `free`
        .place(Place::Functions { malloc: "tb".into(), free: "ub".into() })
        // `__wasm_call_ctors`
        .initialize(["ua"])
        .trap_unknown_imports();
    if let Some(size) = region {
        builder = builder.region_size(size);
    }
    let guest = builder.instantiate().await?;
    // `main`, which makes SQLite's virtual file systems known
    let code: i32 = guest.with(|cx| cx.call("Db", (0, 0))).await??;
    assert_eq!(code, OK, "SQLite does not start");

    let (waiting, deep) = (Connection::open(&guest).await?, Connection::open(&guest).await?);
    deep.query("CREATE VIEW v0 AS SELECT 1 AS x").await?;
    for depth in 1..=DEPTH {
        let below = depth - 1;
        deep.query(&format!("CREATE VIEW v{depth} AS SELECT x + 1 AS x FROM v{below}")).await?;
    }
    // wa-sqlite's `progress_handler`, called after so many of the query's steps
    guest.with(|cx| cx.call::<_, ()>("Ab", (waiting.db, 100))).await??;
    let slow = waiting.query(SLOW);
    let nested = async {
        host.called.notified().await;
        assert_eq!(guest.stats().await?.parked_calls, 1);
        let answer = deep.query(&format!("SELECT x FROM v{DEPTH}")).await;
        assert_eq!(guest.stats().await?.parked_calls, 1);
        host.answer.notify_one();
        Ok::<_, asyncify::Error>(answer)
    };
    let (slow, nested) = tokio::join!(slow, nested);
    assert_eq!(slow?, Some(42), "the call that waited");
    Ok(nested?)
}
