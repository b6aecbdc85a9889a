// What is thrown may be any value. It is marked, so that it is not taken for what the script prints.
print("before");
throw { code: 5, list: [1, "two"] };
