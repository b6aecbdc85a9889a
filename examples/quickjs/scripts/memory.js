// A script has a heap of its own, with a limit: beyond it is an exception that it can catch.
const fill = () => {
    const kept = [];
    for (;;) kept.push(new Uint8Array(16 << 20));
};
try {
    fill();
} catch (error) {
    print(error.name, error.message);
}
print("still", fetch("/page/1"));
