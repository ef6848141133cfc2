/* A load generator for measurements on loopback: one thread, HTTP/1.1, one JSON object of figures at the end.
 *
 *   cc -O2 -o load load.c -lm && ./load --url 127.0.0.1:PORT/path?query --body FILE [options]
 *
 *   --connections N   calls in flight (16); with --rate: at most so many
 *   --rate R          R calls a second start at their appointed times, whatever became of the ones before; what a call
 *                     takes counts from its appointment, so that waiting for a connection is never hidden
 *   --seconds S       how long is measured (5), after --warmup S (1) that is not; calls end in peace afterwards
 *   --ramp S          the first calls start spread over so many seconds (0)
 *   --pieces N        a stream must bring so many pieces of content, or it counts as short
 *   --timeout S       a call that takes longer has failed (30)
 *   --header "K: V"   one more request header; may be given several times
 *   --pids P,P        processes whose CPU time and resident memory are told, with their descendants
 *
 * Without --rate a connection starts its next call when the last one has ended (closed loop). Pieces of the mock's
 * streams carry their time of sending: the delay of a piece is its one-way time. A piece of a paced stream that comes in
 * one read with a later one was held back somewhere and is counted as `held`. Times in the output are microseconds.
 */
#define _GNU_SOURCE
#include "common.h"
#include "load_options.h"
#include "samples.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

enum phase { IDLE, WAITING_FOR_HEAD, READING_BODY };

struct call {
    int fd, writable_wanted;
    enum phase phase;
    uint64_t appointed_ns, started_ns, first_byte_ns;
    size_t sent; /* bytes of the request that are out */
    struct buffer head;
    struct chunked coding;
    int is_chunked, closes, status;
    uint64_t left; /* of a body with a length; UINT64_MAX: until the connection ends */
    uint64_t pieces;
    size_t mark_place; /* how much of a mark and its digits has come by */
    uint64_t mark_ns;
    struct call *next_free;
};

static struct {
    struct samples latency, first_byte, piece_delay, first_piece_delay;
    uint64_t calls, bytes, held;
    uint64_t failed_connect, failed_broken, failed_status, failed_short, failed_timeout;
} found;

static int epoll_fd, timer_fd;
static struct call *calls, *free_calls;
static uint64_t measure_from_ns, measure_until_ns;
static uint64_t busy, appointed, appointments_kept; /* calls in flight; appointments made and served so far */

static int measured(uint64_t at_ns) { return at_ns >= measure_from_ns && at_ns < measure_until_ns; }

/* ---- one call */

static void start(struct call *call, uint64_t appointed_ns);

static void watch(struct call *call, int operation) {
    struct epoll_event event = {.events = EPOLLIN | (call->writable_wanted ? EPOLLOUT : 0U), .data.ptr = call};
    epoll_ctl(epoll_fd, operation, call->fd, &event);
}

static void hang_up(struct call *call) {
    if (call->fd >= 0) close(call->fd);
    call->fd = -1;
}

/* The call is over and its connection free for the next one. */
static void release(struct call *call) {
    call->phase = IDLE;
    busy--;
    if (options.rate <= 0) return;
    call->next_free = free_calls;
    free_calls = call;
}

/* In a closed loop the next call of this connection waits for the next look around: a proxy that is down is not hammered. */
static void fail(struct call *call, uint64_t *reason) {
    ++*reason;
    hang_up(call);
    release(call);
}

static void succeed(struct call *call) {
    uint64_t now = now_ns();
    if (call->status != 200) {
        fail(call, &found.failed_status);
        return;
    }
    if (options.pieces >= 0 && call->pieces != (uint64_t)options.pieces) {
        fail(call, &found.failed_short);
        return;
    }
    /* In a closed loop what ends inside the window is counted, at a rate what was appointed inside it. */
    if (measured(options.rate > 0 ? call->appointed_ns : now)) {
        found.calls++;
        sample(&found.latency, (double)(now - call->appointed_ns) / 1e3);
        sample(&found.first_byte, (double)(call->first_byte_ns - call->appointed_ns) / 1e3);
    }
    if (call->closes) hang_up(call);
    release(call);
    if (options.rate <= 0 && now < measure_until_ns) start(call, now);
}

static void send_more(struct call *call) {
    while (call->sent < options.request.length) {
        size_t left = options.request.length - call->sent;
        ssize_t done = send(call->fd, options.request.data + call->sent, left, MSG_NOSIGNAL);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0 && (errno == EAGAIN || errno == ENOTCONN)) break;
        if (done < 0) {
            fail(call, &found.failed_broken);
            return;
        }
        call->sent += (size_t)done;
    }
    int wanted = call->sent < options.request.length;
    if (wanted == call->writable_wanted) return;
    call->writable_wanted = wanted;
    watch(call, EPOLL_CTL_MOD);
}

static void start(struct call *call, uint64_t appointed_ns) {
    busy++;
    call->phase = WAITING_FOR_HEAD;
    call->appointed_ns = appointed_ns;
    call->started_ns = now_ns();
    call->first_byte_ns = call->sent = call->pieces = call->mark_place = call->head.length = 0;
    call->coding = (struct chunked){0};
    if (call->fd < 0) {
        int on = 1;
        call->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (call->fd < 0) die("cannot open a socket: %s (ulimit -n?)", strerror(errno));
        setsockopt(call->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        int done = connect(call->fd, (struct sockaddr *)&options.address, sizeof options.address);
        call->writable_wanted = 1;
        watch(call, EPOLL_CTL_ADD);
        if (done && errno != EINPROGRESS) fail(call, &found.failed_connect);
        return; /* the request goes out when the connection stands */
    }
    send_more(call);
}

/* ---- answers */

/* Look for marks in decoded bytes of a body; they may be cut anywhere. Returns how many ended here. */
static int read_marks(struct call *call, const char *data, size_t length, uint64_t now) {
    int ended = 0;
    for (size_t at = 0; at < length;) {
        if (!call->mark_place) {
            const char *next = memchr(data + at, MARK[0], length - at);
            if (!next) break;
            at = (size_t)(next - data) + 1;
            call->mark_place = 1;
            continue;
        }
        char byte = data[at];
        if (call->mark_place < MARK_LENGTH) {
            if (byte != MARK[call->mark_place]) {
                call->mark_place = 0; /* and look again from this byte on */
                continue;
            }
            call->mark_ns = 0;
        } else {
            call->mark_ns = call->mark_ns * 10 + (uint64_t)(byte - '0');
        }
        at++;
        if (++call->mark_place < MARK_LENGTH + MARK_DIGITS) continue;
        call->mark_place = 0;
        call->pieces++;
        ended++;
        if (!measured(now)) continue;
        double delay_us = ((double)now - (double)call->mark_ns) / 1e3;
        sample(&found.piece_delay, delay_us);
        if (call->pieces == 1) sample(&found.first_piece_delay, delay_us);
    }
    return ended;
}

/* Returns 0 for a head that is none. */
static int read_head(struct call *call, size_t length) {
    const char *head = call->head.data, *end = head + length;
    const char *size = header_value(head, end, "content-length:");
    const char *coding = header_value(head, end, "transfer-encoding:");
    const char *option = header_value(head, end, "connection:");
    if (length < 12 || strncmp(head, "HTTP/1.", 7)) return 0;
    call->status = atoi(head + 9);
    call->is_chunked = coding && !strncasecmp(coding, "chunked", 7);
    call->left = size ? strtoull(size, NULL, 10) : UINT64_MAX;
    call->closes = (option && !strncasecmp(option, "close", 5)) || (!call->is_chunked && !size);
    call->phase = READING_BODY;
    return 1;
}

static void read_body(struct call *call, const char *data, size_t length, uint64_t now) {
    int marks = 0;
    if (measured(now)) found.bytes += length;
    if (call->is_chunked) {
        for (size_t at = 0; at < length && call->coding.state < CHUNK_DONE;) {
            const char *out;
            size_t out_length;
            at += chunked_step(&call->coding, data + at, length - at, &out, &out_length);
            if (out_length) marks += read_marks(call, out, out_length, now);
        }
    } else {
        marks = read_marks(call, data, length, now);
        if (call->left != UINT64_MAX) call->left -= length < call->left ? length : call->left;
    }
    if (marks > 1 && measured(now)) found.held += (uint64_t)marks - 1;
    if (call->is_chunked && call->coding.state == CHUNK_BAD) fail(call, &found.failed_broken);
    else if (call->is_chunked ? call->coding.state == CHUNK_DONE : !call->left) succeed(call);
}

static void receive(struct call *call) {
    static char data[262144]; /* one thread, one read at a time */
    ssize_t got = recv(call->fd, data, sizeof data, 0);
    uint64_t now = now_ns();
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (call->phase == IDLE) { /* a kept connection that the other side gave up, or bytes that nobody asked for */
        hang_up(call);
        return;
    }
    if (got <= 0) {
        int until_end = got == 0 && call->phase == READING_BODY && !call->is_chunked && call->left == UINT64_MAX;
        if (until_end) succeed(call);
        else fail(call, &found.failed_broken);
        return;
    }
    if (!call->first_byte_ns) call->first_byte_ns = now;
    if (call->phase == READING_BODY) {
        read_body(call, data, (size_t)got, now);
        return;
    }
    buffer_add(&call->head, data, (size_t)got);
    size_t length = head_length(call->head.data, call->head.length);
    if (!length) return;
    if (!read_head(call, length)) fail(call, &found.failed_broken);
    else read_body(call, call->head.data + length, call->head.length - length, now);
}

/* ---- the run */

/* Start every call whose time has come, as far as there are connections; returns when to look again (0: no need). */
static uint64_t keep_appointments(uint64_t run_from_ns, uint64_t now) {
    if (options.rate > 0) {
        double gap_ns = 1e9 / options.rate;
        for (;; appointed++) {
            uint64_t due = run_from_ns + (uint64_t)((double)appointed * gap_ns);
            if (due >= measure_until_ns || due > now) break;
        }
        for (; appointments_kept < appointed && free_calls; appointments_kept++) {
            struct call *call = free_calls;
            free_calls = call->next_free;
            start(call, run_from_ns + (uint64_t)((double)appointments_kept * gap_ns));
        }
        uint64_t next = run_from_ns + (uint64_t)((double)appointed * gap_ns);
        return next < measure_until_ns ? next : 0;
    }
    double gap_ns = options.ramp * 1e9 / options.connections;
    for (; appointed < (uint64_t)options.connections; appointed++) {
        uint64_t due = run_from_ns + (uint64_t)((double)appointed * gap_ns);
        if (due > now) return due;
        start(&calls[appointed], now);
    }
    return 0;
}

/* End what takes too long; in a closed loop start anew what has failed. */
static void look_around(uint64_t now) {
    for (int number = 0; number < options.connections; number++) {
        struct call *call = &calls[number];
        if (call->phase != IDLE && now - call->started_ns > (uint64_t)(options.timeout * 1e9))
            fail(call, &found.failed_timeout);
        else if (call->phase == IDLE && options.rate <= 0 && (uint64_t)number < appointed && now < measure_until_ns)
            start(call, now);
    }
}

static void wait_for_events(void) {
    struct epoll_event events[512];
    int ready = epoll_wait(epoll_fd, events, 512, 50);
    for (int number = 0; number < ready; number++) {
        struct call *call = events[number].data.ptr;
        uint64_t fired;
        if (!call) {
            (void)!read(timer_fd, &fired, sizeof fired);
            continue;
        }
        if (call->fd < 0) continue;
        if (events[number].events & EPOLLOUT && call->phase != IDLE) send_more(call);
        if (call->fd >= 0 && events[number].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(call);
    }
}

struct usage {
    double cpu_s;
    long rss_first_kib, rss_peak_kib;
};

static struct usage run(void) {
    struct family *family = &options.family;
    family_look(family);
    struct usage usage = {.rss_first_kib = family_rss_kib(family)};
    usage.rss_peak_kib = usage.rss_first_kib;
    uint64_t from = now_ns(), next_look = from;
    double cpu_before = 0;
    int measuring = 0, done = 0;
    measure_from_ns = from + (uint64_t)(options.warmup * 1e9);
    measure_until_ns = measure_from_ns + (uint64_t)(options.seconds * 1e9);
    while (!done || busy || appointments_kept < (options.rate > 0 ? appointed : 0)) {
        uint64_t now = now_ns(), next = keep_appointments(from, now);
        struct itimerspec when = instant(next);
        timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
        wait_for_events();
        now = now_ns();
        if (!measuring && now >= measure_from_ns) {
            measuring = 1;
            family_look(family);
            cpu_before = family_cpu_s(family);
        }
        if (!done && now >= measure_until_ns) {
            done = 1;
            usage.cpu_s = family_cpu_s(family) - cpu_before;
        }
        if (now < next_look) continue;
        next_look = now + 100 * NS_PER_MS;
        look_around(now);
        long rss = done ? 0 : family_rss_kib(family);
        if (rss > usage.rss_peak_kib) usage.rss_peak_kib = rss;
    }
    return usage;
}

/* ---- options and figures */

static void print_found(const struct usage *usage) {
    printf("{\"calls\": %llu, \"seconds\": %.3f, \"calls_per_s\": %.2f, \"bytes\": %llu, \"held\": %llu",
           (unsigned long long)found.calls, options.seconds, (double)found.calls / options.seconds,
           (unsigned long long)found.bytes, (unsigned long long)found.held);
    printf(", \"failed\": {\"connect\": %llu, \"broken\": %llu, \"status\": %llu, \"short\": %llu, \"timeout\": %llu}",
           (unsigned long long)found.failed_connect, (unsigned long long)found.failed_broken,
           (unsigned long long)found.failed_status, (unsigned long long)found.failed_short,
           (unsigned long long)found.failed_timeout);
    print_samples("latency_us", &found.latency);
    print_samples("first_byte_us", &found.first_byte);
    print_samples("piece_delay_us", &found.piece_delay);
    print_samples("first_piece_delay_us", &found.first_piece_delay);
    printf(", \"cpu_s\": %.2f, \"rss_first_kib\": %ld, \"rss_peak_kib\": %ld}\n", usage->cpu_s, usage->rss_first_kib,
           usage->rss_peak_kib);
}

int main(int count, char **arguments) {
    read_options(count, arguments);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &event);
    calls = calloc((size_t)options.connections, sizeof *calls);
    if (!calls) die("out of memory");
    for (int number = options.connections - 1; number >= 0; number--) {
        calls[number].fd = -1;
        calls[number].next_free = free_calls;
        free_calls = &calls[number];
    }
    struct usage usage = run();
    print_found(&usage);
    return 0;
}
