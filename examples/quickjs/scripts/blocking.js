// The four host functions, called as if they blocked.
print("before");
sleep(5);
print("after");
print(fetch("/page/1"), "and", fetch("/page/2"));
print("name:", readLine("what is your name? "));
print("end of input:", readLine());
console.log("an object", { a: [1, "two", { deep: true }], f() {} });
