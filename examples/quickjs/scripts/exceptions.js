// Exceptions pass through frames that were suspended, and host errors are exceptions.
function risky(number) {
    try {
        sleep(1);
        if (number === 2) throw new RangeError(`not ${number}`);
        return fetch(`/page/${number}`);
    } finally {
        sleep(1);
        print("finally", number);
    }
}
for (const number of [1, 2, "x"]) {
    try {
        print(risky(number));
    } catch (error) {
        print(error instanceof Error, error.name, error.message);
    }
}
try {
    fetch("not a url");
} catch (error) {
    print(error.stack.includes("exceptions.js:20"));
    print(error.message);
}
class Custom extends Error {
    get message() {
        sleep(1);
        return "a slow message";
    }
}
try {
    [1].forEach(() => {
        throw new Custom();
    });
} catch (error) {
    print(error.message, error instanceof Custom);
}
label: for (const outer of [1, 2]) {
    for (const inner of [1, 2]) {
        try {
            sleep(1);
            if (inner === 2) continue label;
            print(outer, inner);
        } finally {
            sleep(1);
        }
    }
}
const cause = (() => {
    try {
        sleep({ valueOf() { throw new TypeError("no number"); } });
    } catch (error) {
        return new Error("wrapped", { cause: error });
    }
})();
print(cause.cause.message);
print((() => { try { return (sleep(1), "try"); } finally { sleep(1); } })());
