globalThis.name = "two";
const text = "3-1-2".replace(/\d/g, (item) => {
    fetch(`/meet/one-${item}`);
    print(name, "is at", item);
    const thrown = () => {
        try {
            throw new Error(fetch(`/meet/two-${item}`));
        } catch (error) {
            return error.message;
        }
    };
    return thrown();
});
fetch("/meet/end");
setTimeout(() => print(name, text), 20);
