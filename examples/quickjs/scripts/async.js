// Async functions and jobs: the host blocks inside of them, and their order stays.
const order = [];
async function work(name) {
    order.push(`${name} begins`);
    sleep(1);
    await null;
    order.push(`${name} goes on: ${fetch(`/page/${name}`)}`);
    await Promise.resolve().then(() => sleep(1));
    order.push(`${name} ends`);
    return name * 10;
}
async function* steps() {
    for (let step = 0; step < 3; step += 1) {
        sleep(1);
        yield fetch(`/page/${step}`);
    }
}
async function main() {
    print(await Promise.all([work(1), work(2)]));
    print(order.join("\n"));
    for await (const step of steps()) print("step", step);
    try {
        await Promise.all([work(3), Promise.reject(new Error("rejected"))]);
    } catch (error) {
        print("caught", error.message);
    }
    try {
        await (async () => fetch("/page/none"))();
    } catch (error) {
        print("caught", error.message);
    } finally {
        sleep(1);
    }
    const slow = { then: (resolve) => (sleep(1), resolve("a thenable")) };
    print(await slow);
    const settled = await Promise.allSettled([work(4), (async () => { throw 5; })()]);
    console.log(settled);
    print(await Promise.race([new Promise((resolve) => resolve((sleep(1), "first"))), work(5)]));
    queueMicrotaskLike(() => print("a job of its own"));
}
const queueMicrotaskLike = (job) => Promise.resolve().then(job);
main().then(() => print("main ended"));
print("the script ended");
