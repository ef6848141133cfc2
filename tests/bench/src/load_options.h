/* What the load generator was told to do, and the request that it sends again and again. */
#ifndef BENCH_LOAD_OPTIONS_H
#define BENCH_LOAD_OPTIONS_H

#include "common.h"
#include "process.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/in.h>

static struct {
    struct sockaddr_in address;
    char host[64], path[1024];
    struct buffer request, headers;
    int connections, pieces;
    double rate, seconds, warmup, ramp, timeout;
    struct family family;
} options = {.connections = 16, .pieces = -1, .seconds = 5, .warmup = 1, .timeout = 30};

static void read_url(const char *url) {
    int port = 0;
    if (!strncmp(url, "http://", 7)) url += 7;
    strcpy(options.path, "/");
    if (sscanf(url, "%63[^:/]:%d%1023s", options.host, &port, options.path) < 2) die("no such URL: %s", url);
    options.address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, options.host, &options.address.sin_addr) != 1 || strncmp(options.host, "127.", 4))
        die("only addresses of this machine (127.x.x.x), not %s", options.host);
}

static void make_request(const char *body_file) {
    struct buffer body = {0};
    FILE *file = body_file ? fopen(body_file, "rb") : NULL;
    if (!file) die("give a readable file with --body");
    for (size_t got; (got = fread(buffer_reserve(&body, 65536), 1, 65536, file)) > 0;) body.length += got;
    fclose(file);
    buffer_format(&options.request,
                  "POST %s HTTP/1.1\r\nHost: %s:%d\r\nAccept: application/json\r\nAccept-Encoding: identity\r\n"
                  "Content-Type: application/json\r\nUser-Agent: bench/1.0 (load generator)\r\n"
                  "Authorization: Bearer sk-bench-000000000000000000000000000000000000000000000000\r\n"
                  "X-Client-Name: python-sdk\r\nX-Client-Version: 3.57.0\r\nX-Client-Runtime: CPython 3.11\r\n"
                  "X-Client-Retry: 0\r\nX-Client-Timeout: 600\r\nX-Taximeter-Team: bench\r\n",
                  options.path, options.host, ntohs(options.address.sin_port));
    if (options.headers.length) buffer_add(&options.request, options.headers.data, options.headers.length);
    buffer_format(&options.request, "Content-Length: %zu\r\n\r\n", body.length);
    buffer_add(&options.request, body.data, body.length);
    buffer_free(&body);
}

static void read_options(int count, char **arguments) {
    static const struct option known[] = {
        {"url", 1, 0, 'u'}, {"body", 1, 0, 'b'}, {"connections", 1, 0, 'c'}, {"rate", 1, 0, 'r'}, {"seconds", 1, 0, 's'},
        {"warmup", 1, 0, 'w'}, {"ramp", 1, 0, 'a'}, {"pieces", 1, 0, 'p'}, {"timeout", 1, 0, 't'}, {"header", 1, 0, 'h'},
        {"pids", 1, 0, 'i'}, {0, 0, 0, 0}};
    const char *body_file = NULL, *url = NULL;
    for (int option; (option = getopt_long(count, arguments, "", known, NULL)) >= 0;) switch (option) {
        case 'u': url = optarg; break;
        case 'b': body_file = optarg; break;
        case 'c': options.connections = atoi(optarg); break;
        case 'r': options.rate = atof(optarg); break;
        case 's': options.seconds = atof(optarg); break;
        case 'w': options.warmup = atof(optarg); break;
        case 'a': options.ramp = atof(optarg); break;
        case 'p': options.pieces = atoi(optarg); break;
        case 't': options.timeout = atof(optarg); break;
        case 'h': buffer_format(&options.headers, "%s\r\n", optarg); break;
        case 'i':
            for (char *next = strtok(optarg, ","); next && options.family.root_count < 16; next = strtok(NULL, ","))
                options.family.roots[options.family.root_count++] = atoi(next);
            break;
        default: die("see the head of load.c for the options");
        }
    if (!url || options.connections < 1) die("give --url and at least one connection");
    read_url(url);
    make_request(body_file);
}

#endif
