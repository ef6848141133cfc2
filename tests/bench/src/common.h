/* What the mock provider and the load generator share: a clock, buffers, header lookup, sockets.
 *
 * Everything is for loopback on Linux and for one thread. Without memory the process ends: this is a measuring tool.
 */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000ULL
#define NS_PER_MS 1000000ULL

/* Marks the time at which a chunk was sent: MARK, then MARK_DIGITS digits of CLOCK_MONOTONIC in nanoseconds. */
#define MARK "sent_ns="
#define MARK_LENGTH (sizeof MARK - 1)
#define MARK_DIGITS 20

static inline uint64_t now_ns(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * NS_PER_S + (uint64_t)at.tv_nsec;
}

/* A time of CLOCK_MONOTONIC for a timer; 0 disarms it. */
static inline struct itimerspec instant(uint64_t at_ns) {
    return (struct itimerspec){.it_value = {.tv_sec = (time_t)(at_ns / NS_PER_S), .tv_nsec = (long)(at_ns % NS_PER_S)}};
}

static inline void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(2);
}

/* A growing array of bytes. */
struct buffer {
    char *data;
    size_t length, room;
};

static inline char *buffer_reserve(struct buffer *buffer, size_t extra) {
    if (buffer->length + extra > buffer->room) {
        size_t room = buffer->room ? buffer->room : 4096;
        while (room < buffer->length + extra) room *= 2;
        buffer->data = realloc(buffer->data, room);
        if (!buffer->data) die("out of memory");
        buffer->room = room;
    }
    return buffer->data + buffer->length;
}

static inline void buffer_add(struct buffer *buffer, const void *data, size_t length) {
    memcpy(buffer_reserve(buffer, length), data, length);
    buffer->length += length;
}

static inline void buffer_format(struct buffer *buffer, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    vsnprintf(buffer_reserve(buffer, (size_t)length + 1), (size_t)length + 1, format, again);
    buffer->length += (size_t)length;
    va_end(again);
    va_end(arguments);
}

/* Take bytes off the front. */
static inline void buffer_drop(struct buffer *buffer, size_t length) {
    memmove(buffer->data, buffer->data + length, buffer->length - length);
    buffer->length -= length;
}

/* Give the memory back, so that many idle connections cost little. */
static inline void buffer_free(struct buffer *buffer) {
    free(buffer->data);
    *buffer = (struct buffer){0};
}

/* The value of a header inside a head that ends with an empty line; NULL when it is not there. `name` has its colon. */
static inline const char *header_value(const char *head, const char *end, const char *name) {
    size_t length = strlen(name);
    for (const char *line = memchr(head, '\n', (size_t)(end - head)); line && line + 1 < end;
         line = memchr(line + 1, '\n', (size_t)(end - line - 1))) {
        if ((size_t)(end - line - 1) < length || strncasecmp(line + 1, name, length)) continue;
        const char *value = line + 1 + length;
        while (value < end && *value == ' ') value++;
        return value;
    }
    return NULL;
}

/* Where the body starts; 0 while the head is not complete. */
static inline size_t head_length(const char *data, size_t length) {
    const char *end = memmem(data, length, "\r\n\r\n", 4);
    return end ? (size_t)(end - data) + 4 : 0;
}

/* Walks over a body in chunked coding without keeping anything. */
struct chunked {
    enum { CHUNK_SIZE, CHUNK_SIZE_END, CHUNK_DATA, CHUNK_DATA_END, CHUNK_TRAILER, CHUNK_DONE, CHUNK_BAD } state;
    uint64_t left;
    size_t line;
};

/* Take coded bytes up to the next stretch of decoded ones, [*out, *out + *out_length). Returns how many were used. */
static inline size_t chunked_step(struct chunked *coding, const char *data, size_t length, const char **out,
                                  size_t *out_length) {
    *out_length = 0;
    size_t at = 0;
    while (at < length && coding->state < CHUNK_DONE) {
        char byte = data[at];
        switch (coding->state) {
        case CHUNK_SIZE:
            at++;
            if (byte == '\n') coding->state = coding->left ? CHUNK_DATA : CHUNK_TRAILER, coding->line = 0;
            else if (byte >= '0' && byte <= '9') coding->left = coding->left * 16 + (uint64_t)(byte - '0');
            else if (byte >= 'a' && byte <= 'f') coding->left = coding->left * 16 + (uint64_t)(byte - 'a' + 10);
            else if (byte >= 'A' && byte <= 'F') coding->left = coding->left * 16 + (uint64_t)(byte - 'A' + 10);
            else if (byte == ';') coding->state = CHUNK_SIZE_END;
            else if (byte != '\r') coding->state = CHUNK_BAD;
            break;
        case CHUNK_SIZE_END: /* an extension, up to the end of the line */
            at++;
            if (byte == '\n') coding->state = coding->left ? CHUNK_DATA : CHUNK_TRAILER, coding->line = 0;
            break;
        case CHUNK_DATA: {
            size_t take = length - at < coding->left ? length - at : (size_t)coding->left;
            *out = data + at;
            *out_length = take;
            coding->left -= take;
            if (!coding->left) coding->state = CHUNK_DATA_END;
            return at + take;
        }
        case CHUNK_DATA_END:
            at++;
            if (byte == '\n') coding->state = CHUNK_SIZE;
            break;
        case CHUNK_TRAILER: /* ends with an empty line */
            at++;
            if (byte == '\n') {
                if (!coding->line) coding->state = CHUNK_DONE;
                coding->line = 0;
            } else if (byte != '\r') coding->line++;
            break;
        default:
            return at;
        }
    }
    return at;
}

#endif
