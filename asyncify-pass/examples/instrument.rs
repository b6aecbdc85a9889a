//! Instruments a module: `cargo run -p asyncify-pass --example instrument -- in.wasm out.wasm env.fetch…`
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(input), Some(output)) = (args.next(), args.next()) else {
        return Err("give an input, an output, and the imports that suspend".into());
    };
    let mut pass = asyncify_pass::Pass::new();
    for import in args {
        let (module, name) = import.split_once('.').ok_or("an import is `module.name`")?;
        pass = pass.suspending(module, name);
    }
    let instrumented = pass.run(&std::fs::read(input)?)?;
    std::fs::write(output, instrumented.wasm())?;
    for entry in instrumented.exports() {
        println!("{}: {}, {}", entry.export(), entry.call(), entry.resume());
    }
    Ok(())
}
