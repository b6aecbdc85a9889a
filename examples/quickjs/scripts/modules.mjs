// Modules are files that the host reads while the guest waits.
import fallback, { page, count } from "./modules/pages.mjs";
import * as deep from "./modules/deep/more.mjs";
import { even, odd } from "./modules/even.mjs";

print(page(1), count());
print(fallback, deep.name, deep.again === page);
print(even(10), odd(7));
const late = await import("./modules/late.mjs");
print(late.text, (await import("./modules/late.mjs")) === late);
try {
    await import("./modules/missing.mjs");
} catch (error) {
    print(error.name, error.message.split(":")[0]);
}
try {
    await import("./modules/broken.mjs");
} catch (error) {
    print(error.name);
}
const names = await Promise.all(
    ["pages", "late"].map(async (name) => Object.keys(await import(`./modules/${name}.mjs`))),
);
console.log(names);
