// What a microtask throws is no rejection.
setTimeout(() => print("never seen"), 1);
queueMicrotask(() => { throw "a text"; });
print("before");
