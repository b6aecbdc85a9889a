// Timers run when the script and its jobs have ended, in the order they are due.
const said = [];
const say = (text) => said.push(text);
setTimeout(say, 100, "fourth");
setTimeout(() => { sleep(1); say("second"); }, 10);
setTimeout(() => say("third"), 50);
setTimeout(say, 0, "first");
clearTimeout(setTimeout(say, 5, "never"));
let times = 0;
const thrice = new Promise((resolve) => {
    const every = setInterval(() => {
        times += 1;
        if (times === 3) resolve(clearInterval(every));
    }, 1);
});
queueMicrotask(() => { say("a microtask"); queueMicrotask(() => say("another")); });
Promise.resolve().then(() => say("a job"));
setTimeout(async () => {
    await thrice;
    await new Promise((resolve) => setTimeout(resolve, 5));
    print(said.join(", "));
    print("the interval ran", times, "times");
    print(fetch("/page/1"));
}, 150);
say("the script itself");
try {
    setTimeout("text");
} catch (error) {
    print(String(error));
}
