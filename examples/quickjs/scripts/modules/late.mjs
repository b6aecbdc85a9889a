sleep(1);
export const text = await (async () => fetch("/page/6"))();
