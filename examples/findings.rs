//! Tells what loading a module finds in it: `cargo run --example findings guest.wasm…`
//!
//! What it says of the shadow stack decides how calls that are suspended at the same time are kept
//! apart.

use std::error::Error;

use asyncify::Prepared;

fn main() -> Result<(), Box<dyn Error>> {
    for path in std::env::args().skip(1) {
        let prepared = Prepared::new(std::fs::read(&path)?)?;
        let findings = prepared.findings();
        println!("{path}: {}", findings.stack_pointer());
        if let Some(bounds) = findings.stack_bounds() {
            println!("  the guest's own stack lies within {:#x}..{:#x}", bounds.start, bounds.end);
        }
        match (findings.asyncify(), findings.stack_guard()) {
            (Some(_), Some(_)) => println!("  instrumented, and kept within its stack"),
            (Some(_), None) => println!("  instrumented"),
            (None, _) => println!("  not instrumented"),
        }
    }
    Ok(())
}
