// What every C guest here needs: names for the host's functions and for its own, and a little text.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMPORT(name) __attribute__((import_module("env"), import_name(#name)))
#define EXPORT(name) __attribute__((export_name(#name)))
// Keeps a function's own frame on the shadow stack.
#define NOINLINE __attribute__((noinline))

// FNV-1a, 32 bits.
#define DIGEST_START 2166136261u

static inline uint32_t digest(uint32_t so_far, const void *bytes, size_t len) {
    const uint8_t *at = bytes;
    for (size_t i = 0; i < len; i++) so_far = (so_far ^ at[i]) * 16777619u;
    return so_far;
}

// A bounded line of text under construction: what doesn't fit is left out.
struct text {
    char *at;
    uint32_t len, cap;
};

#define TEXT(array) ((struct text){array, 0, sizeof(array)})

static inline void add_char(struct text *text, char c) {
    if (text->len < text->cap) text->at[text->len++] = c;
}

static inline void add_bytes(struct text *text, const char *bytes, uint32_t len) {
    for (uint32_t i = 0; i < len; i++) add_char(text, bytes[i]);
}

static inline void add(struct text *text, const char *zero_terminated) {
    while (*zero_terminated) add_char(text, *zero_terminated++);
}

static inline void add_number(struct text *text, uint32_t number) {
    uint32_t unit = 1;
    while (number / unit >= 10) unit *= 10;
    for (; unit; unit /= 10) add_char(text, '0' + number / unit % 10);
}

static inline void add_hex(struct text *text, uint32_t number) {
    for (int shift = 28; shift >= 0; shift -= 4) add_char(text, "0123456789abcdef"[number >> shift & 15]);
}
