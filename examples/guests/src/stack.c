// Frames on the shadow stack that are in use across a suspension: whatever moves or overwrites one of them, or leaves
// the stack pointer elsewhere, changes the answers. `expected*` compute the right ones, by the same code without a wait.
#include "guest.h"

// The host answers `tag * 3 + 1`.
IMPORT(wait) uint32_t wait(uint32_t tag);

static uint32_t ask(uint32_t tag, bool waits) {
    return waits ? wait(tag) : tag * 3 + 1;
}

static uint32_t mix(uint32_t so_far, uint32_t word) {
    return (so_far ^ word) * 16777619u;
}

// `volatile` makes the compiler really store the words, and load them again after the wait.
static void fill(volatile uint32_t *words, uint32_t count, uint32_t seed) {
    for (uint32_t i = 0; i < count; i++) words[i] = seed * 2654435761u + i;
}

static uint32_t mix_all(uint32_t so_far, const volatile uint32_t *words, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) so_far = mix(so_far, words[i]);
    return so_far;
}

// Where a further frame stands. The same before and after a wait, unless the stack pointer was lost.
static NOINLINE void next_frame(uintptr_t *at) {
    volatile uint32_t here[4];
    here[0] = 0;
    *at = (uintptr_t)here;
}

static NOINLINE uint32_t inner(uint32_t seed, bool waits) {
    volatile uint32_t words[8];
    fill(words, 8, seed);
    uintptr_t before, after;
    next_frame(&before);
    uint32_t answer = ask(seed, waits);
    next_frame(&after);
    return mix_all(answer, words, 8) + (after - before);
}

static NOINLINE uint32_t outer(uint32_t seed, bool waits) {
    volatile uint32_t words[12];
    fill(words, 12, ~seed);
    uint32_t first = inner(seed, waits);
    words[seed % 12] ^= first;
    uint32_t second = inner(seed + 1, waits);
    return mix_all(first + second, words, 12);
}

static NOINLINE uint32_t steps(uint32_t seed, uint32_t n, bool waits) {
    volatile uint32_t words[16];
    uint32_t total = seed;
    fill(words, 16, seed);
    for (uint32_t i = 0; i < n; i++) {
        total = mix(total, outer(seed + i, waits));
        words[i % 16] += total;
    }
    return mix_all(total, words, 16);
}

// Waits 2n times, with the tags seed, seed + 1, seed + 1, seed + 2, …
EXPORT(sum) uint32_t sum(uint32_t seed, uint32_t n) {
    return steps(seed, n, true);
}

EXPORT(expected) uint32_t expected(uint32_t seed, uint32_t n) {
    return steps(seed, n, false);
}

static NOINLINE uint32_t down(uint32_t depth, uint32_t tag, bool waits) {
    if (depth == 0) return ask(tag, waits);
    volatile uint32_t words[4];
    fill(words, 4, tag + depth);
    return mix_all(down(depth - 1, tag, waits), words, 4);
}

// One wait, `depth` frames down, 16 bytes of shadow stack in each.
EXPORT(recurse) uint32_t recurse(uint32_t depth, uint32_t tag) {
    return down(depth, tag, true);
}

EXPORT(expected_recurse) uint32_t expected_recurse(uint32_t depth, uint32_t tag) {
    return down(depth, tag, false);
}

// Nothing on this one's way leads to an import, so the pass leaves it alone; yet its frame must not touch a parked one.
// The sum of `seed * i` for i below n, wrapping.
EXPORT(plain_sum) uint32_t plain_sum(uint32_t seed, uint32_t n) {
    volatile uint32_t words[64];
    uint32_t total = 0;
    for (uint32_t i = 0; i < 64; i++) words[i] = 0;
    for (uint32_t i = 0; i < n; i++) words[i % 64] += seed * i;
    for (uint32_t i = 0; i < 64; i++) total += words[i];
    return total;
}

// A queue of waiting calls, each node in the frame of the call that waits, as kernels and some interpreters have it:
// pointers into a parked frame must stay good.
struct node {
    struct node *next;
    uint32_t value;
};

static struct node *queue;

// A damaged queue ends in a trap rather than in an endless loop.
#define MOST_NODES 100000

EXPORT(enqueue_and_wait) uint32_t enqueue_and_wait(uint32_t value) {
    struct node node = {queue, value};
    queue = &node;
    uint32_t answer = wait(value);
    struct node **link = &queue;
    for (uint32_t i = 0; *link != &node; i++) {
        if (!*link || i == MOST_NODES) __builtin_trap();
        link = &(*link)->next;
    }
    *link = node.next;
    return node.value * 31 + answer;
}

EXPORT(list_len) uint32_t list_len(void) {
    uint32_t len = 0;
    for (struct node *node = queue; node; node = node->next) {
        if (len++ == MOST_NODES) __builtin_trap();
    }
    return len;
}

EXPORT(list_sum) uint32_t list_sum(void) {
    uint32_t total = 0, len = 0;
    for (struct node *node = queue; node; node = node->next) {
        if (len++ == MOST_NODES) __builtin_trap();
        total += node->value;
    }
    return total;
}
