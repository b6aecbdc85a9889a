// Generators and iterators suspend in the host as well as in JavaScript's own sense.
function* pages(...numbers) {
    for (const number of numbers) {
        const asked = yield fetch(`/page/${number}`);
        if (asked) print("asked:", asked);
    }
    return (sleep(1), "done");
}
print([...pages(1, 2)]);
const iterator = pages(3, 4);
print(iterator.next().value, iterator.next("again").value);
console.log(iterator.next(), iterator.next());
function* outer() {
    try {
        const result = yield* pages(5, 6);
        print("inner returned", result);
    } finally {
        sleep(1);
        print("closed");
    }
}
for (const text of outer()) print(text);
for (const text of outer()) {
    print(text);
    break;
}
const countdown = {
    [Symbol.iterator]() {
        let left = 3;
        sleep(1);
        return {
            next: () => (sleep(1), { value: left, done: left-- === 0 }),
            return: () => (sleep(1), print("left early"), {}),
        };
    },
};
print(Math.max(...countdown));
const [first] = countdown;
print(first);
print(new Map([...pages(8)].map((text) => [text, (sleep(1), text.length)])).get("page 8"));
