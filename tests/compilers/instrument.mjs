// node instrument.mjs FILE.wasm…: what `wasm-opt --asyncify` makes of each, without `-O2` and with it, into
// FILE.async.wasm and FILE.async-O2.wasm. In one process, as each start of `wasm-opt` takes a second. Names are
// kept: the checker takes them out itself, when it has read which global is the stack pointer.
import { readFileSync, writeFileSync } from 'node:fs'
import binaryen from 'binaryen'

const { BulkMemory, BulkMemoryOpt, Multivalue, MutableGlobals, NontrappingFPToInt, ReferenceTypes, SignExt } = binaryen.Features

binaryen.setDebugInfo(true)
for (const file of process.argv.slice(2)) {
  const wasm = readFileSync(file)
  for (const optimize of [false, true]) {
    const module = binaryen.readBinary(wasm)
    // What the compilers turn on.
    module.setFeatures(BulkMemory | BulkMemoryOpt | Multivalue | MutableGlobals | NontrappingFPToInt | ReferenceTypes | SignExt)
    binaryen.setOptimizeLevel(optimize ? 2 : 0)
    binaryen.setShrinkLevel(0)
    // QuickJS calls its host by `i`.
    binaryen.setPassArgument('asyncify-imports', 'env.fetch,a.i')
    module.runPasses(['strip-dwarf', 'asyncify'])
    if (optimize) module.optimize()
    writeFileSync(file.replace(/\.wasm$/, optimize ? '.async-O2.wasm' : '.async.wasm'), module.emitBinary())
    module.dispose()
  }
}
