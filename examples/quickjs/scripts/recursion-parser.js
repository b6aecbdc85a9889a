// The parser does not watch its stack: the wasm stack ends it, and with it the guest.
print("down");
try {
    eval("(".repeat(10000) + ")".repeat(10000));
} catch {
    print("never seen");
}
