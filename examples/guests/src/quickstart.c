// Fetches pages one after another, as if nothing else went on in the world.
#include "guest.h"

// Both wait, and know nothing of it. `fetch` answers a count of bytes or a negative errno. Below all of these is a code
// that says that the body needs more room: INT32_MIN and the size it needs.
IMPORT(fetch) int32_t fetch(const char *url, uint32_t url_len, char *out, uint32_t cap);
IMPORT(sleep_ms) void sleep_ms(uint32_t ms);
IMPORT(log) void log_line(const char *line, uint32_t len);

#define LAST_ERRNO 4095
#define NEEDED(code) ((uint32_t)(code) & 0x7fffffff)

#define PAUSE_MS 10

EXPORT(run) uint32_t run(uint32_t pages) {
    uint32_t so_far = DIGEST_START;
    for (uint32_t page = 0; page < pages; page++) {
        // On the shadow stack, and in use before and after the waiting.
        char url_bytes[24], line_bytes[80], body[512];
        struct text url = TEXT(url_bytes), line = TEXT(line_bytes);

        if (page > 0) sleep_ms(PAUSE_MS);

        add(&url, "/page/");
        add_number(&url, page);
        add(&line, "page ");
        add_number(&line, page);

        int32_t got = fetch(url.at, url.len, body, sizeof body);
        if (got < -LAST_ERRNO) {
            add(&line, ": needs room for ");
            add_number(&line, NEEDED(got));
            add(&line, " bytes");
        } else if (got < 0) {
            add(&line, ": failed, errno ");
            add_number(&line, -(uint32_t)got);
        } else {
            so_far = digest(so_far, body, got);
            add(&line, ": ");
            add_number(&line, got);
            add(&line, " bytes, digest so far ");
            add_hex(&line, so_far);
        }
        log_line(line.at, line.len);
    }
    return so_far;
}
