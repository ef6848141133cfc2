/* A connection of the mock provider, and the heap of those whose stream waits for its next piece. */
#ifndef BENCH_MOCK_CONNECTION_H
#define BENCH_MOCK_CONNECTION_H

#include "common.h"
#include "replies.h"

struct order { /* what a request asked for */
    enum dialect dialect;
    uint64_t bytes, chunks, gap_ns, first_ns, piece, status;
    int wants_usage, keep_alive;
};

struct connection {
    int fd;
    struct buffer in, out;
    struct order order;
    uint64_t sent; /* pieces of the running stream; meaningful while `streaming` */
    uint64_t due_ns;
    size_t heap_place; /* 1-based place in the timer heap, 0 when it is not there */
    int streaming, dead;
    struct connection *next_dead;
};

/* A binary heap by `due_ns`, from place 1 on. */
static struct connection **heap;
static size_t heap_length, heap_room;

static void heap_put(size_t place, struct connection *connection) {
    heap[place] = connection;
    connection->heap_place = place;
}

static void heap_sift(size_t place, struct connection *connection) {
    while (place > 1 && heap[place / 2]->due_ns > connection->due_ns) {
        heap_put(place, heap[place / 2]);
        place /= 2;
    }
    for (size_t child; (child = place * 2) <= heap_length; place = child) {
        if (child < heap_length && heap[child + 1]->due_ns < heap[child]->due_ns) child++;
        if (heap[child]->due_ns >= connection->due_ns) break;
        heap_put(place, heap[child]);
    }
    heap_put(place, connection);
}

static void heap_remove(struct connection *connection) {
    size_t place = connection->heap_place;
    if (!place) return;
    struct connection *last = heap[heap_length--];
    connection->heap_place = 0;
    if (last != connection) heap_sift(place, last);
}

static void heap_insert(struct connection *connection) {
    if (heap_length + 2 > heap_room) {
        heap_room = heap_room ? heap_room * 2 : 1024;
        heap = realloc(heap, heap_room * sizeof *heap);
        if (!heap) die("out of memory");
    }
    heap_sift(++heap_length, connection);
}

#endif
