// Objects in frames, passed by reference and returned whole. `.ci/stack-pointers` builds it.
#include "table.h"

#ifdef __wasi__
#include <string>
#include <vector>
#else
// What a C++ library gives.
extern "C" int __cxa_atexit(void (*)(void *), void *, void *) { return 0; }
extern "C" void __cxa_pure_virtual() { __builtin_trap(); }
#endif

namespace {

struct Page {
    uint8_t bytes[80];
    int32_t got;

    explicit Page(int32_t tag) : got(0) {
        for (auto &byte : bytes) byte = static_cast<uint8_t>(tag++);
    }
    // Ends at the end of its scope, after a wait too.
    NOINLINE ~Page() { counter += bytes[7]; }
    NOINLINE void load() { got = fetch(bytes, sizeof bytes); }
};

thread_local int32_t depth_of_thread = 3;

struct Reader {
    virtual int32_t read(Page &page) = 0;
};

struct Once : Reader {
    NOINLINE int32_t read(Page &page) override {
        page.load();
        return page.got + page.bytes[3];
    }
};

struct Nested : Reader {
    Reader &within;
    explicit Nested(Reader &within) : within(within) {}
    NOINLINE int32_t read(Page &page) override {
        Page other(page.bytes[0] + 1);
        depth_of_thread++;
        return within.read(other) ^ within.read(page);
    }
};

// Made at the first call.
NOINLINE Page &shared() {
    static Page page(depth_of_thread);
    return page;
}

NOINLINE Page copy(const Page &of) {
    Page made = of;
    made.bytes[1] ^= 0x55;
    return made;
}

NOINLINE int32_t nest(Reader &reader, int32_t depth) {
    if (depth == 0) {
        Page page = copy(shared());
        return reader.read(page);
    }
    Nested deeper(reader);
    return nest(deeper, depth - 1);
}

} // namespace

EXPORT(run) int32_t run(int32_t depth) {
    Once once;
    int32_t total = nest(once, depth);
#ifdef __wasi__
    std::vector<std::string> names;
    for (int32_t i = 0; i < depth; i++) names.push_back("a name that is too long to stand in a string " + std::to_string(i + total));
    for (const auto &name : names) total += static_cast<int32_t>(name.size());
#else
    total += static_cast<uint8_t *>(allocate(32))[5];
#endif
    return total;
}
