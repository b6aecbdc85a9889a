//! Both ways to let a guest wait, side by side: fibers under a plain guest, and this library under
//! an instrumented one.

mod pair;
mod parked;
mod quickjs;
mod rows;

use asyncify_benches::{chart, docs, table};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(figure) = parked::child(&args) {
        println!("{figure}");
        return;
    }
    let quick = args.iter().any(|arg| arg == "--quick");
    let mut pairs = pair::Pairs::new(quick);
    rows::imports(&mut pairs);
    rows::exports(&mut pairs);
    rows::suspensions(&mut pairs);
    rows::instances(&mut pairs);
    rows::computing(&mut pairs);
    quickjs::rows(&mut pairs);
    let mut rows = pairs.rows;
    rows.extend(parked::rows(quick));

    println!("\n{}", table::render(&rows, "theirs"));
    let folder = docs();
    table::write(&folder, "fibers.json", &table::json(&rows));
    chart::draw(&folder);
}
