// A promise that is rejected, and that nobody waits for, ends the script and is told.
async function save() {
    sleep(1);
    throw new Error("nobody waits for this");
}
save();
setTimeout(() => print("never seen"), 1);
print("before");
