// Runs before every script. `host` functions take and return strings and numbers only: whatever a
// script passes is converted here, in JavaScript, where a `toString` may suspend as well.
(function (host) {
    "use strict";

    const { now } = Date;

    function member(key, value, depth, seen) {
        const name = typeof key === "symbol" ? `[${String(key)}]` : key;
        return `${name}: ${nested(value, depth, seen)}`;
    }

    function listed(before, items, [open, close]) {
        return before + (items.length ? `${open} ${items.join(", ")} ${close}` : open + close);
    }

    function nested(value, depth, seen) {
        if (typeof value === "string") return JSON.stringify(value);
        if (typeof value === "symbol") return String(value);
        if (typeof value === "bigint") return `${value}n`;
        if (typeof value === "function") return `[Function ${value.name || "(anonymous)"}]`;
        if (typeof value !== "object" || value === null) return String(value);
        if (value instanceof Promise) return "[Promise]";
        if (value instanceof Date) return isNaN(value) ? "Invalid Date" : value.toISOString();
        if (value instanceof RegExp) return String(value);
        if (seen.includes(value)) return "[Circular]";
        const inner = [...seen, value];
        if (value instanceof Error) return described(value, inner);
        if (depth === 0) return Array.isArray(value) ? "[Array]" : "[Object]";
        const item = (value) => nested(value, depth - 1, inner);
        if (Array.isArray(value)) return listed("", value.map(item), "[]");
        if (value instanceof Map) {
            const entries = [...value].map(([key, value]) => `${item(key)} => ${item(value)}`);
            return listed(`Map(${value.size}) `, entries, "{}");
        }
        if (value instanceof Set) return listed(`Set(${value.size}) `, [...value].map(item), "{}");
        const members = Reflect.ownKeys(value)
            .filter((key) => Object.getOwnPropertyDescriptor(value, key)?.enumerable)
            .map((key) => member(key, value[key], depth - 1, inner));
        return listed("", members, "{}");
    }

    // An error with the script's part of its stack, and with the errors it was made of.
    function described(error, seen = [error]) {
        const stack = typeof error.stack === "string" ? error.stack.trimEnd().split("\n") : [];
        const frames = stack.filter((frame) => frame && !frame.includes("(<prelude>:"));
        const more = frames.length - 10;
        if (more > 0) frames.splice(10, more, `    ... and ${more} more`);
        const lines = [error, ...frames];
        if ("cause" in error) lines.push(`caused by: ${nested(error.cause, 3, seen)}`);
        for (const part of error instanceof AggregateError ? error.errors : []) {
            lines.push(`one of them: ${nested(part, 3, seen)}`);
        }
        return lines.join("\n");
    }

    function inspect(value) {
        return nested(value, 3, []);
    }

    function shown(values) {
        return values.map((value) => (typeof value === "string" ? value : inspect(value))).join(" ");
    }

    // In the order they are due, and were set where two are due at once.
    const timers = [];
    let last = 0;

    function insert(timer) {
        const later = timers.findIndex(({ due }) => due > timer.due);
        timers.splice(later < 0 ? timers.length : later, 0, timer);
    }

    function set(job, ms, values, every) {
        if (typeof job !== "function") throw new TypeError("a timer needs a function to call");
        const wait = Math.max(Number(ms) || 0, 0);
        last += 1;
        insert({ id: last, due: now() + wait, job: () => job(...values), every: every ? wait : false });
        return last;
    }

    function clear(id) {
        const index = timers.findIndex((timer) => timer.id === id);
        if (index >= 0) timers.splice(index, 1);
    }

    // The next timer's turn, for which the script waits: whether there was one.
    function turn() {
        const timer = timers.shift();
        if (!timer) return 0;
        const left = timer.due - now();
        // It stays in the list meanwhile, where it can be cleared.
        if (left > 0) {
            timers.unshift(timer);
            host.sleep(left);
            return 1;
        }
        if (timer.every !== false) insert({ ...timer, due: now() + Math.max(timer.every, 1) });
        timer.job();
        return 1;
    }

    const functions = {
        sleep(ms) {
            host.sleep(Number(ms));
        },
        fetch(url) {
            return host.fetch(String(url));
        },
        readLine(prompt = "") {
            return host.readLine(String(prompt));
        },
        print(...values) {
            host.print(values.map(String).join(" "));
        },
        setTimeout(job, ms, ...values) {
            return set(job, ms, values, false);
        },
        setInterval(job, ms, ...values) {
            return set(job, ms, values, true);
        },
        clearTimeout: clear,
        clearInterval: clear,
        queueMicrotask(job) {
            if (typeof job !== "function") throw new TypeError("a microtask is a function");
            // What it throws is no rejection: it ends the script, as what a timer throws does.
            Promise.resolve().then(() => {
                try {
                    job();
                } catch (error) {
                    timers.unshift({ due: 0, every: false, job: () => { throw error; } });
                }
            });
        },
    };
    for (const [name, value] of Object.entries(functions)) {
        Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
    }
    const log = (...values) => host.print(shown(values));
    const error = (...values) => host.printError(shown(values));
    globalThis.console = { log, info: log, debug: log, error, warn: error };
    return [inspect, turn];
})
