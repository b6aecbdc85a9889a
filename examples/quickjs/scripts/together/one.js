// Two scripts at one time, each with a runtime of its own. They print in turns, and each waits deep
// in its own stack while the other runs.
const list = [3, 1, 2];
const deep = (depth, place) => (depth === 0 ? fetch(place) : deep(depth - 1, place));
globalThis.name = "one";
print(name, list.map((item) => (deep(20, `/meet/one-${item}`), deep(5, `/meet/two-${item}`), item)));
print(name, "sorts", list.sort((a, b) => a - b));
deep(40, "/meet/end");
