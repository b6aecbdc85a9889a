// A promise whose rejection is handled, before the script's jobs have ended, is no matter.
const reject = async (text) => { sleep(1); throw new Error(text); };
reject("at once").catch(({ message }) => print("handled", message));
const later = reject("later");
Promise.resolve().then(() => sleep(1)).then(() => later.catch(({ message }) => print("handled", message)));
Promise.allSettled([reject("one"), Promise.reject("two")]).then((all) => console.log(all));
(async () => {
    try {
        await reject("awaited");
    } catch ({ message }) {
        print("handled", message);
    }
})();
const chained = reject("through a chain").then(() => print("never seen")).finally(() => sleep(1));
chained.then(null, ({ message }) => print("handled", message));
print("before");
