import { nothing } from "./modules/pages.mjs";
print(nothing);
