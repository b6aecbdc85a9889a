// `toJSON`, the replacer and the reviver suspend.
const page = (number) => ({ number, toJSON: () => fetch(`/page/${number}`) });
print(JSON.stringify({ first: page(1), list: [page(2), { deep: page(3) }] }));
print(JSON.stringify({ a: 1, b: [2, 3] }, (key, value) => {
    sleep(1);
    return typeof value === "number" ? value * 10 : value;
}, 1));
print(JSON.stringify({ get late() { return fetch("/words").length; } }));
console.log(JSON.parse('{"a": [1, 2], "b": "page"}', (key, value) => {
    sleep(1);
    return value === "page" ? fetch("/page/9") : value;
}));
try {
    JSON.stringify({ toJSON() { return fetch("/page/none"); } });
} catch (error) {
    print(error.message);
}
