// A script may suspend deep in its own stack, and a recursion without end is an exception.
const deep = (depth) => (depth === 0 ? fetch("/page/1") : deep(depth - 1) + "");
print(deep(200));
const down = (depth) => (sleep(0), depth === 0 ? 0 : 1 + down(depth - 1));
print(down(150));
const endless = () => 1 + endless();
for (const recurse of [
    endless,
    () => { const again = () => (sleep(0), again()); again(); },
    () => { const map = () => [1].map(map); map(); },
    () => { const json = () => JSON.stringify({ toJSON: json }); json(); },
    () => { const sort = () => [2, 1].sort(sort); sort(); },
    () => { const text = { toString: () => `${text}` }; String(text); },
]) {
    try {
        recurse();
    } catch (error) {
        print(error.name, error.message);
    }
}
print("still", fetch("/page/2"));
