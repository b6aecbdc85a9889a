// An uncaught error is told with what caused it.
function load() {
    try {
        fetch("/page/none");
    } catch (cause) {
        throw new Error("no page", { cause });
    }
}
load();
