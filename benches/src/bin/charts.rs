//! Draws the charts of the kept figures anew; with `--check`, compares them with what is there.

use std::process::ExitCode;

use asyncify_benches::{chart, docs};

fn main() -> ExitCode {
    let folder = docs();
    match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => {
            chart::draw(&folder);
            ExitCode::SUCCESS
        }
        [word] if word == "--check" => {
            let charts = chart::all(&folder);
            let differs = |(name, svg): &&(&str, String)| {
                std::fs::read_to_string(folder.join(name)).ok().as_ref() != Some(svg)
            };
            let old: Vec<_> = charts.iter().filter(differs).map(|(name, _)| *name).collect();
            if old.is_empty() {
                return ExitCode::SUCCESS;
            }
            eprintln!("not what the figures give: {}; run this without `--check`", old.join(", "));
            ExitCode::FAILURE
        }
        _ => {
            eprintln!("usage: charts [--check]");
            ExitCode::from(2)
        }
    }
}
