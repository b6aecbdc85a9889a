//! A host whose imports stand in several blocks, in several modules of the crate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use asyncify::Imports;
use asyncify::testing::Mock;
use futures::executor::block_on;

/// Files and a network, which share a count.
#[derive(Default)]
struct Host {
    calls: AtomicU32,
}

#[asyncify::imports(module = "files", parts = [net::Net, Clock])]
impl Host {
    async fn open(&self, path: &str) -> u32 {
        tokio::task::yield_now().await;
        self.count(u32::try_from(path.len()).unwrap())
    }
}

mod net {
    use super::Host;

    /// Names the block below.
    pub(super) struct Net;

    #[asyncify::imports(module = "net", part = Net)]
    impl Host {
        async fn connect(&self, port: u32) -> u32 {
            tokio::task::yield_now().await;
            self.count(port)
        }

        fn close(&self) {
            self.count(0);
        }
    }
}

/// A part may be without imports.
struct Clock;

#[asyncify::imports(part = Clock)]
impl Host {
    #[asyncify(skip)]
    fn count(&self, answer: u32) -> u32 {
        self.calls.fetch_add(1, Ordering::Relaxed);
        answer
    }
}

#[test]
fn all_parts_are_imports_of_the_one_host() {
    let names: Vec<_> = Host::IMPORTS.iter().map(ToString::to_string).collect();
    assert_eq!(
        names,
        ["files.open: (i32, i32) -> (i32)", "net.connect: (i32) -> (i32)", "net.close: () -> ()"]
    );
    assert_eq!(<Host as Imports>::IMPORTS.len(), 3);
    assert_eq!(Host::wasm_opt_args(), "--pass-arg=asyncify-imports@files.open,net.connect");
}

#[test]
fn calls_of_each_part_reach_the_same_host() {
    block_on(async {
        let host = Arc::new(Host::default());
        let mock = Mock::shared(Arc::clone(&host)).await.unwrap();
        let path = mock.place("/etc").unwrap();
        let opened = mock.call::<_, u32>("files", "open", path);
        let connected = mock.call::<_, u32>("net", "connect", 80);
        let (opened, connected) = futures::join!(opened, connected);
        assert_eq!((opened.unwrap(), connected.unwrap()), (4, 80));
        mock.call::<_, ()>("net", "close", ()).await.unwrap();
        assert_eq!(host.calls.load(Ordering::Relaxed), 3);
    });
}
