/* Measured times, kept whole: percentiles are of all of them, not of a sketch. */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include "common.h"

#include <math.h>

struct samples {
    uint32_t *tenths_us;
    size_t count, room;
};

static inline void sample(struct samples *samples, double us) {
    if (samples->count == samples->room) {
        samples->room = samples->room ? samples->room * 2 : 65536;
        samples->tenths_us = realloc(samples->tenths_us, samples->room * sizeof *samples->tenths_us);
        if (!samples->tenths_us) die("out of memory");
    }
    samples->tenths_us[samples->count++] = us <= 0 ? 0 : us >= 4e8 ? 4000000000U : (uint32_t)(us * 10);
}

static inline int by_size(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

/* One more member of a JSON object: count, percentiles, maximum and mean in microseconds. */
static inline void print_samples(const char *name, struct samples *samples) {
    static const struct {
        const char *name;
        double rank;
    } points[] = {{"p50", .5}, {"p90", .9}, {"p99", .99}, {"p999", .999}};
    printf(", \"%s\": {\"count\": %zu", name, samples->count);
    if (samples->count) {
        double sum = 0;
        qsort(samples->tenths_us, samples->count, sizeof *samples->tenths_us, by_size);
        for (size_t at = 0; at < samples->count; at++) sum += samples->tenths_us[at];
        for (size_t at = 0; at < sizeof points / sizeof *points; at++) {
            size_t place = (size_t)ceil(points[at].rank * (double)samples->count);
            printf(", \"%s\": %.1f", points[at].name, samples->tenths_us[place ? place - 1 : 0] / 10.0);
        }
        printf(", \"max\": %.1f, \"mean\": %.1f", samples->tenths_us[samples->count - 1] / 10.0,
               sum / 10 / (double)samples->count);
    }
    printf("}");
}

#endif
