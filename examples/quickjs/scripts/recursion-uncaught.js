function endless(depth) {
    sleep(0);
    return 1 + endless(depth + 1);
}
print("down");
endless(0);
