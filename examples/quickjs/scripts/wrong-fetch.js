function load() {
    sleep(1);
    return fetch("/page/none");
}
load();
