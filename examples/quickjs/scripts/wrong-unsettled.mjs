print("before");
await new Promise(() => {});
print("never seen");
