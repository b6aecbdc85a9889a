// The callbacks of array methods suspend, one inside another.
const pages = [3, 1, 2].map((number) => {
    sleep(1);
    return fetch(`/page/${number}`);
});
print(pages);
print([1, 2, 3, 4].filter((number) => (sleep(1), number % 2)));
print([1, 2, 3].reduce((sum, number) => (sleep(1), sum + number)));
print([[1, 2], [3]].flatMap((row) => row.map((number) => fetch(`/page/${number}`).length + number)));
print([5, 6, 7].find((number) => (sleep(1), number > 5)));
print(Array.from({ length: 3 }, (_, index) => (sleep(1), index * index)));
const seen = [];
new Map([["a", 1], ["b", 2]]).forEach((value, key) => (sleep(1), seen.push(key + value)));
print(seen);
print(Uint8Array.from([1, 2, 3]).map((number) => (sleep(1), number * 100)));
