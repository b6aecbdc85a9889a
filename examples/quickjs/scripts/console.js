// What `console` makes of values. Errors and warnings go to standard error.
console.log("text", 1, 2n, true, null, undefined, Symbol("of mine"));
console.info([1, [2, [3, [4, [5]]]]], { a: { b: { c: { d: 1 } } } });
console.log(new Date(Date.UTC(2026, 1, 3, 4, 5, 6)), new Date(NaN), /a+b/gi);
console.log(new Map([["key", { a: 1 }], [{ b: 2 }, [3]]]), new Map());
console.log(new Set([1, "two", new Set([3])]), new Set());
console.log({ when: new Date(0), many: new Map([[1, new Map([[2, new Map([[3, 4]])]])]]) });
const self = new Map();
self.set("itself", self);
console.log(self);
console.error("an error", { code: 5 });
console.warn("a warning", [1]);
function fails() {
    throw new Error("inner");
}
try {
    try {
        fails();
    } catch (cause) {
        throw new TypeError("outer", { cause });
    }
} catch (error) {
    console.log(error);
}
console.log(new Error("with a plain cause", { cause: { code: 5 } }).cause);
const round = new Error("round");
round.cause = round;
console.log(round);
console.log(new AggregateError([new RangeError("one"), 2], "several"));
console.log([new Promise(() => {}), () => {}, class Named {}]);
