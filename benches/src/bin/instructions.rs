//! Does one thing many times, for `.ci/instructions` to count what it takes.

use asyncify_benches::host::Host;
use asyncify_benches::ours::BenchExports;
use asyncify_benches::{drive, ours};
use wasmtime::Engine;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [what, n] = args.as_slice() else {
        eprintln!("usage: instructions plain|text|ready|export|suspend|suspend-10 N");
        std::process::exit(2);
    };
    let n = n.parse().expect("N is a number");
    let (_guest, exports) = ours::instantiate(&ours::module(&Engine::default()), Host::default());
    // The first of anything makes what is kept for the others.
    run(&exports, what, 2);
    counted(&exports, what, n);
}

/// What is counted: only what runs in here.
#[inline(never)]
fn counted(exports: &BenchExports, what: &str, n: u32) {
    run(exports, what, n);
}

fn run(exports: &BenchExports, what: &str, n: u32) {
    let answer = match what {
        "plain" => drive::spin(exports.plain(n)),
        "text" => drive::spin(exports.text(n)),
        "ready" => drive::spin(exports.ready(n)),
        "export" => {
            (1..n).for_each(|x| assert_eq!(drive::spin(exports.echo(x)).ok(), Some(x)));
            drive::spin(exports.echo(n))
        }
        "suspend" => drive::spin(exports.spin(0, n)),
        "suspend-10" => drive::spin(exports.spin(10, n)).map(|answer| answer - 10),
        other => panic!("nothing is called `{other}`"),
    };
    assert_eq!(answer.expect("the guest answers"), n);
}
