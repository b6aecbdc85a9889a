import { page } from "../pages.mjs";
export const name = page("4");
export { page as again };
