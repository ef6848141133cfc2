/* What a process and its descendants use: CPU time and resident memory, as /proc tells them. */
#ifndef BENCH_PROCESS_H
#define BENCH_PROCESS_H

#include "common.h"

#define MAX_PROCESSES 256

struct family { /* the processes under test: the roots, and whoever descends from them when it is looked at */
    int roots[16], root_count;
    int members[MAX_PROCESSES], member_count;
};

static inline void family_add(struct family *family, int process) {
    if (family->member_count == MAX_PROCESSES) return;
    family->members[family->member_count++] = process;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", process, process);
    FILE *file = fopen(path, "r");
    if (!file) return;
    for (int child; fscanf(file, "%d", &child) == 1;) family_add(family, child);
    fclose(file);
}

static inline void family_look(struct family *family) {
    family->member_count = 0;
    for (int number = 0; number < family->root_count; number++) family_add(family, family->roots[number]);
}

/* User and system time of the members so far, in seconds; the kernel counts it in hundredths. */
static inline double family_cpu_s(const struct family *family) {
    double ticks = 0;
    for (int number = 0; number < family->member_count; number++) {
        char path[64], line[1024];
        snprintf(path, sizeof path, "/proc/%d/stat", family->members[number]);
        FILE *file = fopen(path, "r");
        if (!file) continue;
        size_t length = fread(line, 1, sizeof line - 1, file);
        fclose(file);
        line[length] = 0;
        const char *after_name = strrchr(line, ')'); /* a name may hold blanks and parentheses */
        unsigned long user, system;
        const char *form = ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu"; /* proc(5): fields 14 and 15 */
        if (after_name && sscanf(after_name, form, &user, &system) == 2) ticks += (double)(user + system);
    }
    return ticks / (double)sysconf(_SC_CLK_TCK);
}

/* Resident memory of the members, shared pages counted in each, in KiB. */
static inline long family_rss_kib(const struct family *family) {
    long pages = 0;
    for (int number = 0; number < family->member_count; number++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/statm", family->members[number]);
        FILE *file = fopen(path, "r");
        long resident;
        if (!file) continue;
        if (fscanf(file, "%*d %ld", &resident) == 1) pages += resident;
        fclose(file);
    }
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

#endif
