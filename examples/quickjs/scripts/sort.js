// Every comparison suspends.
const words = fetch("/words").split(" ");
let comparisons = 0;
words.sort((a, b) => {
    comparisons += 1;
    sleep(0);
    return a < b ? -1 : a > b ? 1 : 0;
});
print(words);
print(comparisons > 8);
const numbers = Array.from({ length: 100 }, (_, index) => (index * 37) % 101);
numbers.sort((a, b) => (fetch(`/page/${a}`), a - b));
print(numbers.every((number, index) => index === 0 || numbers[index - 1] <= number));
print(new Float64Array([2.5, 1.5]).sort((a, b) => (sleep(1), a - b)));
try {
    [3, 2, 1].sort(() => {
        sleep(1);
        throw new Error("no order");
    });
} catch (error) {
    print(error.message);
}
