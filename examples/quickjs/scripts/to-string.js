// Conversions that the engine makes on its own suspend.
const slow = {
    toString() {
        return fetch("/page/1");
    },
    valueOf() {
        sleep(1);
        return 20;
    },
};
print(`${slow}`, String(slow), slow + 1, slow * 2, slow > 10, [slow, slow].join());
print({ [slow]: true }["page 1"], "a page 1".includes(slow));
const primitive = {
    [Symbol.toPrimitive](hint) {
        sleep(1);
        return hint === "number" ? 4 : hint;
    },
};
print(`${primitive}`, +primitive, primitive + "", Math.sqrt(primitive));
const date = new Date(Date.UTC(2020, 1, 29));
print(date.toISOString(), date.getTimezoneOffset());
const tagged = Object.defineProperty({}, Symbol.toStringTag, { get: () => (sleep(1), "Slow") });
print(Object.prototype.toString.call(tagged));
print("abc".at({ valueOf: () => (sleep(1), 1) }), parseInt({ toString: () => (sleep(1), "12px") }));
const error = { toString: () => (sleep(1), "shown late") };
console.log(String(error));
