//! Does one thing many times, for `.ci/instructions` to count what it takes.

use std::pin::Pin;

use asyncify_benches::host::Host;
use asyncify_benches::ours::{BenchExports, MaySuspendExports};
use asyncify_benches::{drive, ours};
use wasmtime::Engine;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [what, n] = args.as_slice() else {
        eprintln!(
            "usage: instructions plain|text|ready|export|async-export|suspend|suspend-10|among N"
        );
        std::process::exit(2);
    };
    let n = n.parse().expect("N is a number");
    let (guest, exports) = ours::instantiate(&ours::module(&Engine::default()), Host::default());
    let may_suspend = guest.exports().expect("the guest has it");
    // The first of anything makes what is kept for the others.
    run(&exports, &may_suspend, what, if what == "among" { n } else { 2 });
    counted(&exports, &may_suspend, what, n);
}

/// What is counted: only what runs in here.
#[inline(never)]
fn counted(exports: &BenchExports, may_suspend: &MaySuspendExports, what: &str, n: u32) {
    run(exports, may_suspend, what, n);
}

fn run(exports: &BenchExports, may_suspend: &MaySuspendExports, what: &str, n: u32) {
    let answer = match what {
        "plain" => drive::spin(exports.plain(n)),
        "text" => drive::spin(exports.text(n)),
        "ready" => drive::spin(exports.ready(n)),
        "export" => {
            (1..n).for_each(|x| assert_eq!(drive::spin(exports.echo(x)).ok(), Some(x)));
            drive::spin(exports.echo(n))
        }
        "async-export" => {
            (1..n).for_each(|x| assert_eq!(drive::spin(may_suspend.echo(x)).ok(), Some(x)));
            drive::spin(may_suspend.echo(n))
        }
        "suspend" => drive::spin(exports.spin(0, n)),
        "suspend-10" => drive::spin(exports.spin(10, n)).map(|answer| answer - 10),
        "among" => return among(exports, n),
        other => panic!("nothing is called `{other}`"),
    };
    assert_eq!(answer.expect("the guest answers"), n);
}

/// Suspends n calls at once, each below 3 frames, and resumes them in an order far from that.
fn among(exports: &BenchExports, n: u32) {
    let mut calls: Vec<_> = (0..n).map(|_| exports.spin(3, 1)).collect();
    for call in &mut calls {
        assert!(drive::poll_once(Pin::new(call)).is_pending());
    }
    // A prime that n is no multiple of, so that each call is met once.
    let step = 7_919;
    for i in 0..u64::from(n) {
        let call = &mut calls[usize::try_from(i * step % u64::from(n)).expect("n is an u32")];
        assert_eq!(drive::spin(call).ok(), Some(4));
    }
}
