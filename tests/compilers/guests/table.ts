// Objects and arrays that live across a wait. `.ci/stack-pointers` builds it.

// @ts-ignore: decorator
@external("env", "fetch")
declare function fetch(out: usize, capacity: i32): i32;

// A global of WebAssembly's own.
let counter: i32 = 0;

class Page {
  bytes: Uint8Array = new Uint8Array(64);
  constructor(public next: Page | null, tag: i32) {
    this.bytes.fill(<u8>tag);
    counter += 1;
  }
  load(): i32 {
    const got = fetch(this.bytes.dataStart, this.bytes.length);
    return got + this.bytes[3];
  }
}

function nest(depth: i32, above: Page | null): i32 {
  const page = new Page(above, depth);
  if (depth == 0) return page.load();
  return nest(depth - 1, page) + page.load() + (above ? above.bytes[1] : 0);
}

export function run(depth: i32): i32 {
  const names: string[] = [];
  for (let i = 0; i < depth; i++) names.push("name " + i.toString());
  return nest(depth, null) + names.join(",").length + counter;
}
