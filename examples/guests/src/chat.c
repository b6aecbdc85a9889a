// One instance, many visitors: each connection is one call of `session`, suspended most of the time. What a visitor has
// seen is a local variable of its call; what was said is in globals that all calls share.
#include "guest.h"

// Blocks until a line is there; 0 means that the visitor has left, a negative errno that something broke.
IMPORT(receive) int32_t receive(uint32_t id, char *line, uint32_t cap);
IMPORT(send) void send(uint32_t id, const char *line, uint32_t len);

// A power of two, so that the index goes on being right when the count of messages wraps.
#define KEPT 16
#define LINE 128

struct message {
    uint32_t from, len;
    char bytes[LINE];
};

static struct message kept[KEPT];
static uint32_t said, present;

EXPORT(message_count) uint32_t message_count(void) {
    return said;
}

EXPORT(visitor_count) uint32_t visitor_count(void) {
    return present;
}

static void post(uint32_t from, const char *bytes, uint32_t len) {
    struct message *message = &kept[said++ % KEPT];
    message->from = from;
    message->len = len;
    for (uint32_t i = 0; i < len; i++) message->bytes[i] = bytes[i];
}

static NOINLINE void welcome(uint32_t id) {
    char bytes[64];
    struct text line = TEXT(bytes);
    add(&line, "welcome, visitor ");
    add_number(&line, id);
    add(&line, ", of ");
    add_number(&line, present);
    add(&line, "\n");
    send(id, line.at, line.len);
}

static NOINLINE void tell_missed(uint32_t id, uint32_t count) {
    char bytes[32];
    struct text line = TEXT(bytes);
    add(&line, "... ");
    add_number(&line, count);
    add(&line, " missed\n");
    send(id, line.at, line.len);
}

// The message is put together here before `send` waits: its place in the ring may be another's by then.
static NOINLINE void tell(uint32_t id, const struct message *message) {
    char bytes[LINE + 16];
    struct text line = TEXT(bytes);
    add_number(&line, message->from);
    add(&line, ": ");
    add_bytes(&line, message->bytes, message->len);
    add(&line, "\n");
    send(id, line.at, line.len);
}

// A line is said to everybody; an empty one only asks for news. Either way the visitor is told what is new, its own
// line included.
EXPORT(session) void session(uint32_t id) {
    char line[LINE];
    uint32_t seen = said;
    present++;
    welcome(id);
    for (;;) {
        int32_t len = receive(id, line, sizeof line);
        if (len <= 0) break;
        while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r')) len--;
        if (len > 0) post(id, line, len);
        // `said` may grow while `send` waits, so both are looked at anew each time.
        while (seen != said) {
            if (said - seen > KEPT) {
                uint32_t missed = said - seen - KEPT;
                seen += missed;
                tell_missed(id, missed);
            } else {
                tell(id, &kept[seen++ % KEPT]);
            }
        }
    }
    present--;
}
