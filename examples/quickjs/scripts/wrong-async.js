async function main() {
    sleep(1);
    await null;
    throw new Error("from a job");
}
main();
