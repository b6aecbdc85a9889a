// Code in strings suspends, in the scope it is evaluated in.
const number = 4;
print(eval("fetch(`/page/${number}`)"));
print(eval("eval('eval(`sleep(1); number * 2`)') + 1"));
print(new Function("a", "sleep(1); return a + eval('sleep(1); a')")(21));
(0, eval)("globalThis.indirect = (sleep(1), 'indirect')");
print(indirect);
function scope() {
    let local = 1;
    eval("sleep(1); local += 1; var made = fetch('/page/5');");
    return [local, made];
}
print(scope());
try {
    eval("sleep(1); (");
} catch (error) {
    print(error.name);
}
try {
    eval("sleep(1); missing()");
} catch (error) {
    print(error.message);
}
