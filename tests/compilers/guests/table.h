// What the C and the C++ guest share: frames that a compiler cannot do without.
#include <stddef.h>
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(#name), used))
#define NOINLINE __attribute__((noinline))

#ifdef __cplusplus
extern "C"
#endif
// May wait, with a frame that its caller passes on.
__attribute__((import_module("env"), import_name("fetch"))) int32_t fetch(uint8_t *out, int32_t capacity);

// A global of WebAssembly's own, beside the stack pointer: a counter.
static int32_t __attribute__((address_space(1))) counter;

#ifdef __wasi__
#include <stdlib.h>
#define allocate malloc
#else
extern unsigned char __heap_base;
static uintptr_t heap_end;

// A heap that only grows. It stands in a global of C's, which is in the memory.
static NOINLINE void *allocate(size_t size) {
    if (heap_end == 0) heap_end = (uintptr_t)&__heap_base;
    uintptr_t start = (heap_end + 15) & ~(uintptr_t)15;
    heap_end = start + size;
    uintptr_t have = __builtin_wasm_memory_size(0) << 16;
    if (heap_end > have && __builtin_wasm_memory_grow(0, ((heap_end - have) >> 16) + 1) == (size_t)-1) __builtin_trap();
    return (void *)start;
}
#endif
