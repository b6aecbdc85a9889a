// Each trap of a proxy suspends.
const slowly = (name, result) => (sleep(1), print("trap:", name), result);
const target = { a: 1 };
const proxy = new Proxy(target, {
    get: (object, key, self) => slowly("get", Reflect.get(object, key, self)),
    set: (object, key, value) => slowly("set", Reflect.set(object, key, value)),
    has: (object, key) => slowly("has", key in object),
    deleteProperty: (object, key) => slowly("deleteProperty", delete object[key]),
    ownKeys: (object) => slowly("ownKeys", Reflect.ownKeys(object)),
    getOwnPropertyDescriptor: (object, key) =>
        slowly("getOwnPropertyDescriptor", Reflect.getOwnPropertyDescriptor(object, key)),
    defineProperty: (object, key, property) =>
        slowly("defineProperty", Reflect.defineProperty(object, key, property)),
    getPrototypeOf: () => slowly("getPrototypeOf", Array.prototype),
});
print(proxy.a);
proxy.b = 2;
print("b" in proxy, delete proxy.a, Object.keys(proxy));
print(proxy instanceof Array);
Object.defineProperty(proxy, "c", { value: 3, configurable: true });
print(target.c);
const called = new Proxy(function () {}, {
    apply: (_, self, args) => slowly("apply", args.map((number) => fetch(`/page/${number}`))),
    construct: (_, args) => slowly("construct", { args }),
});
print(called(1, 2));
print(new called(3).args);
const chained = new Proxy(proxy, {});
print(chained.b);
