// Getters and setters suspend, also those that the engine calls by itself.
const page = {
    get text() {
        return fetch("/page/7");
    },
    set text(value) {
        sleep(1);
        print("set to", value);
    },
};
print(page.text);
page.text = "new";
const { text, ...others } = page;
print(text, Object.keys(others).length);
print(Object.assign({}, page).text);
class Lazy {
    static get instance() {
        sleep(1);
        return (this.made ??= new Lazy());
    }
    get #hidden() {
        sleep(1);
        return "private";
    }
    shown() {
        return this.#hidden;
    }
}
print(Lazy.instance === Lazy.instance, Lazy.instance.shown());
const counted = {
    get length() {
        sleep(1);
        return 2;
    },
    get 0() {
        return fetch("/page/0");
    },
    1: "one",
};
print(Array.prototype.join.call(counted, "; "));
print(page?.text, Reflect.get(page, "text"));
with_name(Object.defineProperty(() => {}, "name", { get: () => (sleep(1), "slow name") }));
function with_name(value) {
    print(value.name);
}
