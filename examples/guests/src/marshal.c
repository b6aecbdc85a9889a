// Every type that crosses the border, in both directions. The `call_*` exports hand their arguments to the import as
// they are, so that a test can also send what no well-behaved guest would.
#include "guest.h"

struct slice {
    const char *ptr;
    uint32_t len;
};

// --- An allocator that can be watched: how much is live, what it refuses, whether something is freed twice.
// Like Emscripten's, it takes all memory up to `memory.size` for its own: pages that a host adds without asking it are
// handed out later.

struct block {
    uint32_t size;
    uint32_t state;
    struct block *next;
    // Keeps what follows 16-byte aligned.
    uint32_t unused;
};

#define LIVE 0xa110ca7eu
#define FREE 0xf4eeb10cu

extern char __heap_base;
static char *heap_top;
static struct block *free_blocks;
static uint32_t live_count, live_size, largest = UINT32_MAX;

EXPORT(live_allocations) uint32_t live_allocations(void) {
    return live_count;
}

// The sizes of the live blocks, which are multiples of 16 and may be larger than what was asked for.
EXPORT(live_bytes) uint32_t live_bytes(void) {
    return live_size;
}

// From now on `malloc` answers 0 for more than `bytes`.
EXPORT(limit_malloc) void limit_malloc(uint32_t bytes) {
    largest = bytes;
}

EXPORT(malloc) void *malloc(size_t size) {
    if (size > largest || size > UINT32_MAX / 2) return NULL;
    size = (size + 15) & ~(size_t)15;
    struct block *block = NULL;
    for (struct block **link = &free_blocks; *link; link = &(*link)->next) {
        if ((*link)->size < size) continue;
        block = *link;
        *link = block->next;
        break;
    }
    if (!block) {
        if (!heap_top) heap_top = (char *)(((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15);
        uint64_t end = (uint64_t)(uintptr_t)heap_top + sizeof *block + size;
        uint64_t have = (uint64_t)__builtin_wasm_memory_size(0) << 16;
        if (end > have) {
            uint32_t pages = (end - have + 0xffff) >> 16;
            if (__builtin_wasm_memory_grow(0, pages) == SIZE_MAX) return NULL;
        }
        block = (struct block *)heap_top;
        block->size = size;
        heap_top = (char *)(uintptr_t)end;
    }
    block->state = LIVE;
    live_count++;
    live_size += block->size;
    return block + 1;
}

EXPORT(free) void free(void *at) {
    if (!at) return;
    struct block *block = (struct block *)at - 1;
    if (block->state != LIVE) __builtin_trap();
    block->state = FREE;
    block->next = free_blocks;
    free_blocks = block;
    live_count--;
    live_size -= block->size;
}

// --- Scalars. Their wasm type is all that the declarations say, so that values out of a type's range get through too.

#define ECHO(name, type) \
    IMPORT(echo_##name) type echo_##name(type x); \
    EXPORT(call_echo_##name) type call_echo_##name(type x) { return echo_##name(x); }

ECHO(u8, uint32_t)
ECHO(i8, uint32_t)
ECHO(u16, uint32_t)
ECHO(i16, uint32_t)
ECHO(u32, uint32_t)
ECHO(i32, uint32_t)
ECHO(u64, uint64_t)
ECHO(i64, uint64_t)
ECHO(f32, float)
ECHO(f64, double)
ECHO(bool, uint32_t)
ECHO(char, uint32_t)

// --- Text, bytes and buffers, guest to host.

IMPORT(take_str) uint32_t take_str(const char *text, uint32_t len);
IMPORT(take_bytes) uint32_t take_bytes(const uint8_t *bytes, uint32_t len);
// Writes at most `cap` bytes; answers how many, or a negative errno.
IMPORT(fill) int32_t fill(char *out, uint32_t cap);
IMPORT(mixed) int32_t mixed(uint32_t a, const char *text, uint32_t len, int64_t b, double c, char *out, uint32_t cap);

EXPORT(call_take_str) uint32_t call_take_str(const char *text, uint32_t len) {
    return take_str(text, len);
}

EXPORT(call_take_bytes) uint32_t call_take_bytes(const uint8_t *bytes, uint32_t len) {
    return take_bytes(bytes, len);
}

EXPORT(call_fill) int32_t call_fill(char *out, uint32_t cap) {
    return fill(out, cap);
}

EXPORT(send_text) uint32_t send_text(void) {
    static const char text[] = "gr\xc3\xbc\xc3\x9f dich, \xe4\xb8\x96\xe7\x95\x8c";
    return take_str(text, sizeof text - 1);
}

// 0xff starts no character of UTF-8.
EXPORT(send_bad_text) uint32_t send_bad_text(void) {
    return take_str("ab\xff" "cd", 5);
}

#define UNTOUCHED 0xee

// What `len` bytes came to, and a trap if the host wrote more than it said.
static uint32_t check_filled(const uint8_t *bytes, uint32_t len, uint32_t size) {
    if (len > size) __builtin_trap();
    for (uint32_t i = len; i < size; i++) {
        if (bytes[i] != UNTOUCHED) __builtin_trap();
    }
    return digest(DIGEST_START, bytes, len);
}

// The digest of what the host wrote to a buffer on the stack (of `cap` bytes, 256 at most), or its negative errno.
EXPORT(fill_stack) uint32_t fill_stack(uint32_t cap) {
    volatile uint8_t bytes[256];
    for (uint32_t i = 0; i < sizeof bytes; i++) bytes[i] = UNTOUCHED;
    int32_t len = fill((char *)bytes, cap < sizeof bytes ? cap : sizeof bytes);
    return len < 0 ? (uint32_t)len : check_filled((const uint8_t *)bytes, len, sizeof bytes);
}

// Hands (7, "mixed", -8, 0.5, a buffer of 64 bytes) to the host.
EXPORT(call_mixed) uint32_t call_mixed(void) {
    volatile uint8_t bytes[64];
    for (uint32_t i = 0; i < sizeof bytes; i++) bytes[i] = UNTOUCHED;
    int32_t len = mixed(7, "mixed", 5, -8, 0.5, (char *)bytes, sizeof bytes);
    return len < 0 ? (uint32_t)len : check_filled((const uint8_t *)bytes, len, sizeof bytes);
}

// --- Strings that the host makes of this guest's memory: packed (pointer below, length above), or through a pointer.

IMPORT(make_string) uint64_t make_string(uint32_t n);
IMPORT(make_string_out) void make_string_out(uint32_t n, struct slice *out);
// 0, or a negative errno with `out` as it was.
IMPORT(make_string_or) int32_t make_string_or(uint32_t n, struct slice *out);
// A count, or a negative errno.
IMPORT(fallible) int32_t fallible(uint32_t x);

EXPORT(call_make_string) uint64_t call_make_string(uint32_t n) {
    return make_string(n);
}

EXPORT(call_make_string_out) void call_make_string_out(uint32_t n, struct slice *out) {
    make_string_out(n, out);
}

EXPORT(call_make_string_or) int32_t call_make_string_or(uint32_t n, struct slice *out) {
    return make_string_or(n, out);
}

EXPORT(call_fallible) int32_t call_fallible(uint32_t x) {
    return fallible(x);
}

// The `digest_made*` take a string as its owner and free it.
static uint32_t digest_and_free(struct slice slice) {
    uint32_t result = digest(DIGEST_START, slice.ptr, slice.len);
    free((void *)slice.ptr);
    return result;
}

static struct slice unpack(uint64_t packed) {
    return (struct slice){(const char *)(uintptr_t)(uint32_t)packed, packed >> 32};
}

static uint64_t pack(const char *ptr, uint32_t len) {
    return (uint64_t)len << 32 | (uintptr_t)ptr;
}

EXPORT(digest_made) uint32_t digest_made(uint32_t n) {
    return digest_and_free(unpack(make_string(n)));
}

EXPORT(digest_made_out) uint32_t digest_made_out(uint32_t n) {
    struct slice slice;
    make_string_out(n, &slice);
    return digest_and_free(slice);
}

// Traps if a failure touched the slice.
EXPORT(digest_made_or) uint32_t digest_made_or(uint32_t n) {
    volatile struct slice slice = {NULL, UNTOUCHED};
    int32_t code = make_string_or(n, (struct slice *)&slice);
    if (code < 0) {
        if (slice.ptr || slice.len != UNTOUCHED) __builtin_trap();
        return code;
    }
    return digest_and_free((struct slice){slice.ptr, slice.len});
}

// --- Text and bytes, host to guest.

static struct slice greeting(const char *name, uint32_t len) {
    struct text text = {malloc(len + 8), 0, len + 8};
    if (!text.at) return (struct slice){NULL, 0};
    add(&text, "Hello, ");
    add_bytes(&text, name, len);
    add(&text, "!");
    return (struct slice){text.at, text.len};
}

// "Hello, NAME!", for the caller to free.
EXPORT(greet) uint64_t greet(const char *name, uint32_t len) {
    struct slice made = greeting(name, len);
    return pack(made.ptr, made.len);
}

EXPORT(greet_out) void greet_out(const char *name, uint32_t len, struct slice *out) {
    *out = greeting(name, len);
}

// -34 and nothing made for a name of more than 32 bytes.
EXPORT(greet_or) int32_t greet_or(const char *name, uint32_t len, struct slice *out) {
    if (len > 32) return -34;
    *out = greeting(name, len);
    return 0;
}

// Reads its argument again after the host has looked at it: the argument must live as long as the call.
EXPORT(greet_after) uint64_t greet_after(const char *name, uint32_t len) {
    take_str(name, len);
    return greet(name, len);
}

EXPORT(greet_out_after) void greet_out_after(const char *name, uint32_t len, struct slice *out) {
    take_str(name, len);
    greet_out(name, len, out);
}

// Not UTF-8, where a string was promised.
EXPORT(bad_text) uint64_t bad_text(void) {
    char *text = malloc(1);
    if (text) *text = '\xff';
    return pack(text, 1);
}

EXPORT(sum_bytes) uint32_t sum_bytes(const uint8_t *bytes, uint32_t len) {
    uint32_t total = 0;
    for (uint32_t i = 0; i < len; i++) total += bytes[i];
    return total;
}

// The bytes twice, for the caller to free.
EXPORT(twice) uint64_t twice(const char *bytes, uint32_t len) {
    struct text text = {malloc(2 * len), 0, 2 * len};
    if (!text.at) return 0;
    add_bytes(&text, bytes, len);
    add_bytes(&text, bytes, len);
    return pack(text.at, text.len);
}

// A decimal number: -22 if it is none, -34 if it is above 2147483647.
EXPORT(parse) int32_t parse(const char *text, uint32_t len) {
    uint64_t number = 0;
    if (len == 0) return -22;
    for (uint32_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') return -22;
        if (number <= INT32_MAX) number = number * 10 + (text[i] - '0');
    }
    return number > INT32_MAX ? -34 : (int32_t)number;
}
