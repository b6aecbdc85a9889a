//! Instruments a module: `cargo run -p asyncify-pass --example instrument -- in.wasm out.wasm env.fetch…`

use std::process::ExitCode;

use asyncify_pass::Pass;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(input), Some(output)) = (args.next(), args.next()) else {
        return Err("give an input, an output, and the imports that suspend".into());
    };
    let mut pass = Pass::new();
    for import in args {
        let (module, name) = import.split_once('.').ok_or("write an import as `module.name`")?;
        pass = pass.suspending(module, name);
    }
    let wasm = std::fs::read(&input).map_err(|error| format!("`{input}`: {error}"))?;
    let instrumented = pass.run(&wasm).map_err(|error| format!("`{input}`: {error}"))?;
    for import in instrumented.not_imported() {
        eprintln!("`{input}` imports no function `{import}`");
    }
    std::fs::write(&output, instrumented.wasm())?;
    if instrumented.exports().is_empty() {
        println!("no export of it can suspend");
    }
    for entry in instrumented.exports() {
        println!("{}: {}, {}", entry.export(), entry.call(), entry.resume());
    }
    Ok(())
}
