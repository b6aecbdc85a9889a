function outer() {
    return [1].map((number) => {
        sleep(1);
        return inner(number);
    });
}

function inner(number) {
    return fetch(`/page/${number}`).missing.property;
}

print("before");
outer();
print("never seen");
