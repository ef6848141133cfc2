/* A provider for measurements: answers as OpenAI, Anthropic or MiniMax would, as fast as one thread can, or at a pace.
 *
 *   cc -O2 -o mock mock.c && ./mock [PORT]      prints the port it listens on (127.0.0.1 only); 0 or nothing: any port
 *
 * The path chooses the dialect: .../chat/completions OpenAI, .../messages Anthropic, .../chatcompletion_v2 MiniMax.
 * The query chooses the answer:
 *   bytes=N        a whole body of about N bytes (1500 unless told)
 *   chunks=N       a stream of N pieces of content instead
 *   gap_us=N       time between two pieces (0: all at once)
 *   first_us=N     time before the first one (gap_us unless told)
 *   piece=N        bytes of text in a piece (24 unless told)
 *   status=N       answer with that status and an error body
 * Every piece carries the time at which it was sent ("sent_ns=" and 20 digits of CLOCK_MONOTONIC), so that whoever
 * reads it knows how long it was on its way. `"include_usage":true` in an OpenAI-style request brings a usage chunk.
 */
#define _GNU_SOURCE
#include "common.h"
#include "mock_connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

static int epoll_fd, timer_fd;
static struct connection *dead; /* freed once the events at hand are worked off: one of them may still point here */
static char *padding; /* text to fill bodies with */
#define PADDING_BYTES (4u << 20)

static void arm_timer(void) {
    static uint64_t armed;
    uint64_t due = heap_length ? heap[1]->due_ns : 0;
    if (due == armed) return;
    armed = due;
    struct itimerspec when = instant(due);
    timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* ---- connections */

static void watch(struct connection *connection, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = connection};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, connection->fd, &event);
}

static void drop(struct connection *connection) {
    if (connection->dead) return;
    heap_remove(connection);
    close(connection->fd);
    buffer_free(&connection->in);
    buffer_free(&connection->out);
    connection->dead = 1;
    connection->next_dead = dead;
    dead = connection;
}

/* Send what is in `out`; the rest waits for the socket to take it. */
static void flush(struct connection *connection) {
    size_t done = 0;
    while (done < connection->out.length) {
        ssize_t sent = send(connection->fd, connection->out.data + done, connection->out.length - done, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno == EAGAIN) break;
        if (sent < 0) {
            drop(connection);
            return;
        }
        done += (size_t)sent;
    }
    int waited = done < connection->out.length;
    buffer_drop(&connection->out, done);
    if (waited) watch(connection, EPOLLIN | EPOLLOUT);
}

/* ---- answers */

static void add_padding(struct buffer *out, size_t length) {
    while (length) {
        size_t take = length < PADDING_BYTES ? length : PADDING_BYTES;
        buffer_add(out, padding, take);
        length -= take;
    }
}

static void answer_whole(struct connection *connection) {
    const struct order *order = &connection->order;
    const char *start = WHOLE_START[order->dialect], *end = WHOLE_END[order->dialect];
    size_t frame = strlen(start) + strlen(end), text = order->bytes > frame ? order->bytes - frame : 0;
    int failed = order->status != 200;
    buffer_format(&connection->out,
                  "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nX-Request-Id: req_bench\r\n"
                  "Cache-Control: no-store\r\n%s\r\n",
                  (int)order->status, failed ? "Ordered" : "OK", failed ? sizeof ERROR_BODY - 1 : frame + text,
                  order->keep_alive ? "" : "Connection: close\r\n");
    if (failed) {
        buffer_add(&connection->out, ERROR_BODY, sizeof ERROR_BODY - 1);
        return;
    }
    buffer_add(&connection->out, start, strlen(start));
    add_padding(&connection->out, text);
    buffer_add(&connection->out, end, strlen(end));
}

/* One event of a stream as one HTTP chunk. */
static void add_event(struct connection *connection, const char *text, size_t length) {
    buffer_format(&connection->out, "%zx\r\n", length);
    buffer_add(&connection->out, text, length);
    buffer_add(&connection->out, "\r\n", 2);
}

static void stream_start(struct connection *connection) {
    buffer_format(&connection->out,
                  "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n"
                  "X-Request-Id: req_bench\r\nCache-Control: no-cache\r\n%s\r\n",
                  connection->order.keep_alive ? "" : "Connection: close\r\n");
    if (connection->order.dialect == ANTHROPIC) add_event(connection, ANTHROPIC_START, sizeof ANTHROPIC_START - 1);
}

static void stream_piece(struct connection *connection) {
    static struct buffer event; /* reused: one thread */
    const struct order *order = &connection->order;
    event.length = 0;
    if (order->dialect == ANTHROPIC)
        buffer_format(&event, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
                              "\"delta\":{\"type\":\"text_delta\",\"text\":\"");
    else
        buffer_format(&event, "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1780000000,"
                              "\"model\":\"gpt-4.1-mini\",\"choices\":[{\"index\":0,\"delta\":{%s\"content\":\"",
                      connection->sent ? "" : "\"role\":\"assistant\",");
    add_padding(&event, order->piece);
    size_t mark = event.length + MARK_LENGTH;
    buffer_format(&event, " " MARK "%0*llu", MARK_DIGITS, 0ULL);
    mark += 1;
    if (order->dialect == ANTHROPIC) buffer_format(&event, "\"}}\n\n");
    else buffer_format(&event, "\"},\"finish_reason\":null}]}\n\n");
    char digits[MARK_DIGITS + 1]; /* the clock is read last, when the event is ready to go */
    snprintf(digits, sizeof digits, "%0*llu", MARK_DIGITS, (unsigned long long)now_ns());
    memcpy(event.data + mark, digits, MARK_DIGITS);
    add_event(connection, event.data, event.length);
    connection->sent++;
}

static void stream_end(struct connection *connection) {
    switch (connection->order.dialect) {
    case ANTHROPIC: add_event(connection, ANTHROPIC_END, sizeof ANTHROPIC_END - 1); break;
    case MINIMAX: add_event(connection, MINIMAX_END, sizeof MINIMAX_END - 1); break;
    case OPENAI:
        add_event(connection, OPENAI_FINISH, sizeof OPENAI_FINISH - 1);
        if (connection->order.wants_usage) add_event(connection, OPENAI_USAGE, sizeof OPENAI_USAGE - 1);
        add_event(connection, "data: [DONE]\n\n", 14);
    }
    buffer_add(&connection->out, "0\r\n\r\n", 5);
    connection->streaming = 0;
}

/* ---- requests */

static uint64_t query_number(const char *target, size_t length, const char *name, uint64_t otherwise) {
    const char *query = memchr(target, '?', length), *end = target + length;
    size_t name_length = strlen(name);
    for (const char *at = query; at && at + 1 + name_length < end; at = memchr(at + 1, '&', (size_t)(end - at - 1)))
        if (!strncmp(at + 1, name, name_length) && at[1 + name_length] == '=')
            return strtoull(at + 2 + name_length, NULL, 10);
    return otherwise;
}

static void read_order(struct connection *connection, const char *head, const char *end) {
    const char *target = memchr(head, ' ', (size_t)(end - head));
    const char *target_end = target ? memchr(target + 1, ' ', (size_t)(end - target - 1)) : NULL;
    size_t length = target_end ? (size_t)(target_end - target) : 0;
    struct order *order = &connection->order;
    *order = (struct order){.dialect = OPENAI};
    if (length && memmem(target, length, "/messages", 9)) order->dialect = ANTHROPIC;
    if (length && memmem(target, length, "/chatcompletion_v2", 18)) order->dialect = MINIMAX;
    order->bytes = query_number(target, length, "bytes", 1500);
    order->chunks = query_number(target, length, "chunks", 0);
    order->gap_ns = query_number(target, length, "gap_us", 0) * 1000;
    order->first_ns = query_number(target, length, "first_us", order->gap_ns / 1000) * 1000;
    order->piece = query_number(target, length, "piece", 24);
    order->status = query_number(target, length, "status", 200);
    const char *option = header_value(head, end, "connection:");
    order->keep_alive = !(option && !strncasecmp(option, "close", 5));
}

static void finish_answer(struct connection *connection) {
    flush(connection);
    int finished = !connection->dead && !connection->streaming && !connection->out.length;
    if (finished && !connection->order.keep_alive) drop(connection);
}

/* Send every piece that is due, and wait for the next one. */
static void run_stream(struct connection *connection, uint64_t now) {
    const struct order *order = &connection->order;
    while (connection->sent < order->chunks && (!order->gap_ns || connection->due_ns <= now)) {
        stream_piece(connection);
        connection->due_ns += order->gap_ns;
    }
    if (connection->sent == order->chunks) {
        stream_end(connection);
        finish_answer(connection);
    } else {
        heap_insert(connection);
        flush(connection);
    }
}

static void answer(struct connection *connection, const char *body, size_t length) {
    connection->order.wants_usage = memmem(body, length, "\"include_usage\":true", 20) != NULL ||
                                    memmem(body, length, "\"include_usage\": true", 21) != NULL;
    if (!connection->order.chunks || connection->order.status != 200) {
        answer_whole(connection);
        finish_answer(connection);
        return;
    }
    connection->streaming = 1;
    connection->sent = 0;
    connection->due_ns = now_ns() + connection->order.first_ns;
    stream_start(connection);
    run_stream(connection, now_ns());
}

/* Length of the whole request at the front of `in`; 0 while it is not complete. */
static size_t request_length(struct connection *connection, size_t head) {
    const char *data = connection->in.data;
    const char *length = header_value(data, data + head, "content-length:");
    const char *coding = header_value(data, data + head, "transfer-encoding:");
    if (!coding) {
        size_t whole = head + (length ? strtoull(length, NULL, 10) : 0);
        return whole <= connection->in.length ? whole : 0;
    }
    struct chunked state = {0};
    size_t at = head, out_length;
    const char *out;
    while (at < connection->in.length && state.state < CHUNK_DONE)
        at += chunked_step(&state, data + at, connection->in.length - at, &out, &out_length);
    return state.state == CHUNK_DONE ? at : 0;
}

static void work_off(struct connection *connection) {
    while (!connection->dead && !connection->streaming && connection->in.length) {
        size_t head = head_length(connection->in.data, connection->in.length);
        size_t whole = head ? request_length(connection, head) : 0;
        if (!whole) return;
        const char *data = connection->in.data;
        const char *expect = header_value(data, data + head, "expect:");
        if (expect) buffer_format(&connection->out, "HTTP/1.1 100 Continue\r\n\r\n");
        read_order(connection, data, data + head);
        answer(connection, data + head, whole - head);
        if (!connection->dead) buffer_drop(&connection->in, whole);
    }
    if (!connection->dead && connection->streaming && !connection->in.length) buffer_free(&connection->in);
}

static void receive(struct connection *connection) {
    for (;;) {
        ssize_t got = recv(connection->fd, buffer_reserve(&connection->in, 16384), 16384, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) break;
        if (got <= 0) {
            drop(connection);
            return;
        }
        connection->in.length += (size_t)got;
        if (got < 16384) break;
    }
    work_off(connection);
}

static void accept_all(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
        if (fd < 0) return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct connection *connection = calloc(1, sizeof *connection);
        if (!connection) die("out of memory");
        connection->fd = fd;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
    }
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, length) || listen(fd, 4096)) die("cannot listen on port %d", port);
    getsockname(fd, (struct sockaddr *)&address, &length);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void serve_socket(struct connection *connection, uint32_t events) {
    if (connection->dead) return;
    if (events & EPOLLOUT) {
        watch(connection, EPOLLIN);
        finish_answer(connection);
    }
    if (!connection->dead && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(connection);
}

static void run_due_streams(void) {
    for (uint64_t now = now_ns(); heap_length && heap[1]->due_ns <= now;) {
        struct connection *connection = heap[1];
        heap_remove(connection);
        run_stream(connection, now);
        work_off(connection);
    }
    arm_timer();
}

static void free_dead(void) {
    while (dead) {
        struct connection *next = dead->next_dead;
        free(dead);
        dead = next;
    }
}

static void start_up(void) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1);
    padding = malloc(PADDING_BYTES);
    if (!padding) die("out of memory");
    for (size_t at = 0; at < PADDING_BYTES; at++) padding[at] = "the meter runs and says what it counts "[at % 39];
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
}

int main(int count, char **arguments) {
    start_up();
    int listener = listen_on(count > 1 ? atoi(arguments[1]) : 0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &listener};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
    event.data.ptr = &timer_fd;
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &event);
    for (;;) {
        struct epoll_event events[512];
        int ready = epoll_wait(epoll_fd, events, 512, -1);
        for (int number = 0; number < ready; number++) {
            uint64_t fired;
            void *who = events[number].data.ptr;
            if (who == &listener) accept_all(listener);
            else if (who == &timer_fd) (void)!read(timer_fd, &fired, sizeof fired); /* what is due goes out below */
            else serve_socket(who, events[number].events);
        }
        run_due_streams();
        free_dead();
    }
}
