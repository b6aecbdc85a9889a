// The function that makes the replacement suspends, for strings and regular expressions.
print("one two".replace("one", (match) => (sleep(1), match.toUpperCase())));
print("p1 p2 p3".replace(/p(\d)/g, (_, number) => fetch(`/page/${number}`)));
print("a-b-c".replaceAll("-", () => (sleep(1), "+")));
const slow = {
    [Symbol.replace](text, by) {
        sleep(1);
        return `${text} ${by}`;
    },
};
print("custom".replace(slow, "replacer"));
class Pattern extends RegExp {
    exec(text) {
        sleep(1);
        return super.exec(text);
    }
}
print("x1y22".split(new Pattern("\\d+")));
print([..."a1b2".matchAll(new Pattern("[a-z]", "g"))].map((match) => match.index));
