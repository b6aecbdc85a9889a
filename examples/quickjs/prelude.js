// Runs before every script. `host` functions take and return strings and numbers only: whatever a
// script passes is converted here, in JavaScript, where a `toString` may suspend as well.
(function (host) {
    "use strict";

    function member(key, value, depth, seen) {
        const name = typeof key === "symbol" ? `[${String(key)}]` : key;
        return `${name}: ${nested(value, depth, seen)}`;
    }

    function nested(value, depth, seen) {
        if (typeof value === "string") return JSON.stringify(value);
        if (typeof value === "symbol") return String(value);
        if (typeof value === "bigint") return `${value}n`;
        if (typeof value === "function") return `[Function ${value.name || "(anonymous)"}]`;
        if (typeof value !== "object" || value === null) return String(value);
        if (value instanceof Error) return described(value);
        if (value instanceof Promise) return "[Promise]";
        if (seen.includes(value)) return "[Circular]";
        if (depth === 0) return Array.isArray(value) ? "[Array]" : "[Object]";
        const inner = [...seen, value];
        if (Array.isArray(value)) {
            const items = value.map((item) => nested(item, depth - 1, inner));
            return items.length ? `[ ${items.join(", ")} ]` : "[]";
        }
        const members = Reflect.ownKeys(value)
            .filter((key) => Object.getOwnPropertyDescriptor(value, key)?.enumerable)
            .map((key) => member(key, value[key], depth - 1, inner));
        return members.length ? `{ ${members.join(", ")} }` : "{}";
    }

    function described(error) {
        const stack = typeof error.stack === "string" ? error.stack.trimEnd() : "";
        if (!stack) return String(error);
        const frames = stack.split("\n");
        const more = frames.length - 10;
        if (more > 0) frames.splice(10, more, `    ... and ${more} more`);
        return [error, ...frames].join("\n");
    }

    function inspect(value) {
        return nested(value, 3, []);
    }

    function shown(values) {
        return values.map((value) => (typeof value === "string" ? value : inspect(value))).join(" ");
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
    };
    for (const [name, value] of Object.entries(functions)) {
        Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
    }
    const log = (...values) => host.print(shown(values));
    globalThis.console = { log, info: log, debug: log };
    return inspect;
})
