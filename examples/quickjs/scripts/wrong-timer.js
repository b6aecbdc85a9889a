// What a timer throws ends the script, and the timers after it.
setTimeout(() => { throw new TypeError("from a timer"); }, 1);
setTimeout(() => print("never seen"), 20);
print("before");
