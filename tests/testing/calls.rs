//! Calls in flight, and the mock around them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use asyncify::testing::Mock;
use asyncify::{Error, GuestCx, IntoGuest, Limits, Slice, Trap, WeakGuest};
use tokio::sync::{Notify, oneshot};

use crate::kinds::{Kinds, kinds};

/// Waits until it is told to go on, and tells how many wait.
#[derive(Default)]
struct Gate {
    open: Notify,
    waiting: AtomicU32,
}

#[asyncify::imports(module = "gate")]
impl Gate {
    async fn pass(&self, ticket: u32) -> u32 {
        struct Left<'a>(&'a AtomicU32);
        impl Drop for Left<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _left = Left(&self.waiting);
        self.open.notified().await;
        ticket * 2
    }
}

#[tokio::test]
async fn many_calls_are_in_flight() {
    let gate = Arc::new(Gate::default());
    let mock = Mock::shared(Arc::clone(&gate)).await.unwrap();
    let calls: Vec<_> =
        (0..100).map(|ticket| tokio::spawn(mock.call("gate", "pass", ticket))).collect();
    while gate.waiting.load(Ordering::Relaxed) < 100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(mock.guest().stats().await.unwrap().parked_calls, 100);
    gate.open.notify_waiters();
    for (ticket, call) in (0..).zip(calls) {
        let doubled: u32 = call.await.unwrap().unwrap();
        assert_eq!(doubled, ticket * 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_and_memory_from_several_threads() {
    let (_, mock) = kinds().await;
    let calls: Vec<_> = (1..50_u32)
        .map(|len| {
            let mock = mock.clone();
            tokio::spawn(async move {
                let bytes = mock.place(vec![7; len as usize])?;
                let made: Slice = mock.call("env", "packed", len).await?;
                assert_eq!(mock.read(bytes.ptr, len)?, vec![7; len as usize]);
                mock.text(made)
            })
        })
        .collect();
    for (len, call) in (1..).zip(calls) {
        assert_eq!(call.await.unwrap().unwrap(), "x".repeat(len));
    }
}

#[tokio::test]
async fn a_dropped_call_drops_the_imports_future() {
    let gate = Arc::new(Gate::default());
    let mock = Mock::shared(Arc::clone(&gate)).await.unwrap();
    let call = mock.call::<_, u32>("gate", "pass", 1);
    let waited = tokio::time::timeout(Duration::from_millis(5), call).await;
    assert!(waited.is_err());
    assert_eq!(gate.waiting.load(Ordering::Relaxed), 0);

    let mut call = mock.call::<_, u32>("gate", "pass", 1);
    assert!(futures::poll!(&mut call).is_pending());
    assert_eq!(gate.waiting.load(Ordering::Relaxed), 1);
    call.cancel(7).unwrap();
    assert_eq!(gate.waiting.load(Ordering::Relaxed), 0);
    assert_eq!(call.await.unwrap(), 7);
    assert_eq!(mock.guest().stats().await.unwrap().parked_calls, 0);
}

#[tokio::test]
async fn an_ended_call_says_so() {
    let (_, mock) = kinds().await;
    let mut call = mock.call::<_, u32>("env", "handle", 1);
    assert_eq!((&mut call).await.unwrap(), 2);
    assert!(matches!((&mut call).await, Err(Error::CallEnded)));
    let mut refused = mock.call::<_, u32>("env", "no such", ());
    assert!(matches!((&mut refused).await, Err(Error::NoSuchImport { .. })));
    assert!(matches!((&mut refused).await, Err(Error::CallEnded)));
}

#[tokio::test]
async fn a_limit_is_reached() {
    let gate = Gate::default();
    let limits = Limits::default().parked_calls(1);
    let mock = Mock::builder().imports(gate).limits(limits).build().await.unwrap();
    let mut first = mock.call::<_, u32>("gate", "pass", 1);
    assert!(futures::poll!(&mut first).is_pending());
    match mock.call::<_, u32>("gate", "pass", 2).await {
        Err(Error::Limit { function, limit: 1, .. }) => assert_eq!(function, "gate.pass"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_memory_ends_where_it_says() {
    let mock = Mock::builder().pages(1).build().await.unwrap();
    assert_eq!(mock.memory_size(), 1 << 16);
    assert!(matches!(mock.reserve(1 << 17), Err(Error::NoRoom { .. })));
    assert!(matches!(mock.reserve((63 << 10) + 1), Err(Error::NoRoom { .. })));
    let all = mock.reserve(63 << 10).unwrap();
    assert_eq!(all.ptr + all.len, mock.memory_size());
    assert!(matches!(mock.place("x"), Err(Error::NoRoom { .. })));
    assert!(mock.place("").is_ok());

    let ends = |result: Result<(), Error>| matches!(result, Err(Error::BadPointer { .. }));
    assert!(ends(mock.read(u32::MAX, u32::MAX).map(drop)));
    assert!(ends(mock.write(mock.memory_size() - 1, "ab")));
    assert!(ends(mock.read_slice(mock.memory_size() - 7).map(drop)));
    assert!(ends(mock.text(Slice { ptr: 1 << 16, len: 1 }).map(drop)));
    mock.write(all.ptr, b"\xff").unwrap();
    let text = mock.text(Slice { len: 1, ..all });
    assert!(matches!(text, Err(Error::NotUtf8 { .. })));

    for pages in [0, 0x1_0000] {
        let mock = Mock::builder().pages(pages).build().await;
        assert!(matches!(mock, Err(Error::Config(_))));
    }
}

#[tokio::test]
async fn an_answer_that_has_no_room() {
    let mock = Mock::builder().imports(Kinds::default()).pages(1).build().await.unwrap();
    match mock.call::<_, Slice>("env", "packed", 1 << 17).await {
        Err(Error::NoRoom { size, .. }) => assert_eq!(size, 1 << 17),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn several_hosts_and_the_guests_own_functions() {
    struct Named(String);
    impl IntoGuest for Named {
        type Abi = u32;
        fn into_guest<T: Send + 'static>(self, cx: &mut GuestCx<'_, T>) -> Result<u32, Trap> {
            let text = cx.place(self.0.as_bytes())?;
            Ok(cx.call("new_string", (text.ptr, text.len))?)
        }
    }
    struct Names;
    #[asyncify::imports(module = "names")]
    impl Names {
        async fn name(&self) -> Named {
            tokio::task::yield_now().await;
            Named("Ada".to_owned())
        }
    }
    let builder = Mock::builder().imports(Names).imports(Gate::default());
    let mock = builder.export("new_string", |_: u32, len: u32| 100 + len).build().await.unwrap();
    assert_eq!(mock.call::<_, u32>("names", "name", ()).await.unwrap(), 103);
    assert!(format!("{mock:?}").contains("names.name: () -> (i32)"));

    let without = Mock::new(Names).await.unwrap();
    match without.call::<_, u32>("names", "name", ()).await {
        Err(Error::NoSuchExport { name, .. }) => assert_eq!(name, "new_string"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn names_that_are_taken() {
    let config = |built: Result<Mock, Error>| matches!(built, Err(Error::Config(_)));
    assert!(config(
        Mock::builder().imports(Kinds::default()).imports(Kinds::default()).build().await
    ));
    assert!(config(Mock::builder().export("free", |_: u32| ()).build().await));
    assert!(config(Mock::builder().export("a", || ()).export("a", || ()).build().await));
    let import = Mock::builder().imports(Gate::default()).export("gate.pass", || ());
    assert!(config(import.build().await));
}

/// A host that calls its guest while the guest waits for it.
#[derive(Default)]
struct Caller {
    guest: std::sync::OnceLock<WeakGuest>,
    answer: std::sync::Mutex<Option<oneshot::Sender<u32>>>,
}

#[asyncify::imports(module = "env")]
impl Caller {
    async fn outer(&self) -> Result<u32, Trap> {
        let guest = self.guest.get().ok_or_else(|| Trap::new("no guest"))?.upgrade()?;
        let inner = guest.all_exports().typed::<(u32,), (u32,)>("env.inner")?;
        Ok(inner.call((20,)).await?.0 + 1)
    }

    async fn inner(&self, number: u32) -> u32 {
        let (answer, answered) = oneshot::channel();
        *self.answer.lock().unwrap() = Some(answer);
        number + answered.await.unwrap()
    }
}

#[tokio::test]
async fn a_host_may_call_its_guest() {
    let host = Arc::new(Caller::default());
    let mock = Mock::shared(Arc::clone(&host)).await.unwrap();
    host.guest.set(mock.guest().downgrade()).unwrap();
    let outer = tokio::spawn(mock.call::<_, u32>("env", "outer", ()));
    let answer = loop {
        tokio::task::yield_now().await;
        if let Some(answer) = host.answer.lock().unwrap().take() {
            break answer;
        }
    };
    assert_eq!(mock.guest().stats().await.unwrap().parked_calls, 2);
    answer.send(300).unwrap();
    assert_eq!(outer.await.unwrap().unwrap(), 321);
}

/// A host that uses the mock it is called by, which is in use at that moment.
#[derive(Default)]
struct Meddler {
    mock: std::sync::OnceLock<Mock>,
}

#[asyncify::imports(module = "env")]
impl Meddler {
    fn now(&self) -> u32 {
        self.mock.get().unwrap().place("x").map_or_else(reentered, |_| 0)
    }

    async fn at_once(&self) -> u32 {
        self.mock.get().unwrap().place("x").map_or_else(reentered, |_| 0)
    }

    async fn later(&self) -> u32 {
        tokio::task::yield_now().await;
        self.mock.get().unwrap().place("x").map_or_else(reentered, |_| 0)
    }
}

fn reentered(error: Error) -> u32 {
    if matches!(error, Error::Reentered) { 1 } else { 2 }
}

#[tokio::test]
async fn a_mock_in_use_is_told_and_not_waited_for() {
    let host = Arc::new(Meddler::default());
    let mock = Mock::shared(Arc::clone(&host)).await.unwrap();
    host.mock.set(mock.clone()).unwrap();
    for (name, answer) in [("now", 1), ("at_once", 1), ("later", 0)] {
        let answered: u32 = mock.call("env", name, ()).await.unwrap();
        assert_eq!(answered, answer, "{name}");
    }
}
