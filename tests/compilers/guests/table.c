// Frames of a fixed size, of a variable one, and of a recursion. `.ci/stack-pointers` builds it.
#include "table.h"

static NOINLINE int32_t page(int32_t tag) {
    uint8_t buffer[96];
    for (int i = 0; i < 96; i++) buffer[i] = (uint8_t)(tag + i);
    counter += 1;
    int32_t got = fetch(buffer, sizeof buffer);
    for (int i = 0; i < 96; i++) got = got * 31 + buffer[i];
    return got;
}

static NOINLINE int32_t fill(volatile int32_t *words, int32_t count, int32_t seed) {
    for (int32_t i = 0; i < count; i++) words[i] = seed * 7 + i;
    return words[count - 1];
}

// Its frame is as large as it is told.
static NOINLINE int32_t variable(int32_t count) {
    volatile int32_t words[count];
    int32_t last = fill(words, count, count);
    if (count > 40) return last;
    char *more = __builtin_alloca((size_t)count * 3 + 1);
    more[count] = (char)page(last);
    return more[count] + words[count / 2];
}

static NOINLINE int32_t recurse(int32_t depth, const int32_t *above) {
    int32_t here[6];
    fill(here, 6, depth + *above);
    if (depth == 0) return page(here[2]);
    return recurse(depth - 1, &here[depth % 6]) + here[1];
}

EXPORT(run) int32_t run(int32_t depth) {
    int32_t *list = allocate(sizeof *list * 4);
    size_t capacity = 4;
    for (int32_t i = 0; i < depth; i++) {
        if ((size_t)i == capacity) {
            int32_t *grown = allocate(sizeof *grown * capacity * 2);
            for (size_t j = 0; j < capacity; j++) grown[j] = list[j];
            list = grown;
            capacity *= 2;
        }
        list[i] = variable(i + 1);
    }
    int32_t start = 5;
    return recurse(depth, &start) + (depth > 0 ? list[depth - 1] : 0);
}

EXPORT(fetches) int32_t fetches(void) { return counter; }
