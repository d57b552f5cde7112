/* Advances the counters of tests/powercap.py along known traces, until its standard input ends.
 *
 *   powercap_driver T0_NS TICK_NS RANGE_UJ [ZONE COUNTER START_UJ LOW_W HIGH_W PERIOD_S HIGH_S]...
 *
 * A zone uses HIGH_W for the first HIGH_S of each PERIOD_S, and LOW_W else; its counter is the file
 * COUNTER, which reads START_UJ at T0_NS of the monotonic clock and steps at each tick. Lines on
 * standard input ("reset ZONE", "wrap ZONE LEFT_UJ", "pause ZONE", "resume ZONE") are obeyed, and
 * answered by "ok" once every counter has been written after them; so is the start.
 *
 * Hundreds of tests run this beside what they measure, a thousand ticks in each second.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

/* One count of the energy status register: 2^-14 J on most Intel processors. */
static const double UNIT_UJ = 1e6 / 16384;
enum { WIDTH = 24, WORDS = 7, MOST_ZONES = 32, LINE = 256 };

struct zone {
    const char *name;
    int file, paused;
    double offset_uj, low_w, high_w, period_s, high_s;
};

static struct zone zones[MOST_ZONES];
static int count;
static long long t0_ns, range_uj;

/* The clock of Python's time.monotonic(). */
#ifdef __APPLE__
#define CLOCK CLOCK_UPTIME_RAW
#else
#define CLOCK CLOCK_MONOTONIC
#endif

static long long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static double used_uj(const struct zone *zone, long long t_ns) {
    double t_s = (double)(t_ns - t0_ns) / 1e9;
    double whole = floor(t_s / zone->period_s);
    double busy_s = whole * zone->high_s + fmin(t_s - whole * zone->period_s, zone->high_s);
    return 1e6 * (zone->low_w * t_s + (zone->high_w - zone->low_w) * busy_s);
}

/* In one write of a fixed width, so that who keeps the file open sees each value whole. */
static void step(const struct zone *zone, long long t_ns) {
    char text[WIDTH + 1];
    double counts = floor((zone->offset_uj + used_uj(zone, t_ns)) / UNIT_UJ);
    long long value = llrint(counts * UNIT_UJ) % range_uj;
    int length;
    if (zone->paused)
        return;
    length = snprintf(text, sizeof text, "%lld", value < 0 ? value + range_uj : value);
    memset(text + length, '\n', WIDTH - (size_t)length);
    if (pwrite(zone->file, text, WIDTH, 0) != WIDTH)
        exit(1);
}

static void obey(char *line) {
    char *command = strtok(line, " "), *name = strtok(NULL, " "), *argument = strtok(NULL, " ");
    for (struct zone *zone = zones; zone < zones + count; zone++) {
        if (strcmp(zone->name, name) != 0)
            continue;
        if (strcmp(command, "reset") == 0)
            zone->offset_uj = -used_uj(zone, now_ns());
        else if (strcmp(command, "wrap") == 0)
            zone->offset_uj = (double)range_uj - atof(argument) - used_uj(zone, now_ns());
        else
            zone->paused = strcmp(command, "pause") == 0;
        return;
    }
    exit(1);
}

/* Wait for `left_ns`, or until there are lines to obey. Whether there were: they are answered. */
static int listen_for(long long left_ns) {
    static char pending[LINE];
    static size_t length;
    struct timeval left = {left_ns / 1000000000LL, left_ns / 1000 % 1000000};
    int obeyed = 0;
    char *end;
    ssize_t got;
    fd_set ready;
    FD_ZERO(&ready);
    FD_SET(0, &ready);
    if (select(1, &ready, NULL, NULL, &left) <= 0)
        return 0;
    got = read(0, pending + length, sizeof pending - length);
    if (got <= 0)
        exit(0);
    length += (size_t)got;
    while ((end = memchr(pending, '\n', length)) != NULL) {
        *end = '\0';
        obey(pending);
        length -= (size_t)(end + 1 - pending);
        memmove(pending, end + 1, length);
        obeyed = 1;
    }
    return obeyed;
}

int main(int argc, char **argv) {
    /* Run at once where the system lets us: a register of the hardware steps on time whatever the
     * processors are busy with, and a test's verdict must not depend on how busy they are. */
#ifdef __linux__
    struct sched_param first = {.sched_priority = 2};
    sched_setscheduler(0, SCHED_FIFO, &first);
#endif
    long long tick_ns = atoll(argv[2]), due_ns = now_ns(), t_ns;
    int answer = 1;
    t0_ns = atoll(argv[1]);
    range_uj = atoll(argv[3]);
    if (argc - 4 > MOST_ZONES * WORDS)
        return 1;
    for (char **word = argv + 4; word < argv + argc; word += WORDS)
        zones[count++] = (struct zone){
            word[0], open(word[1], O_WRONLY), 0,
            atof(word[2]), atof(word[3]), atof(word[4]), atof(word[5]), atof(word[6]),
        };
    for (;;) {
        t_ns = now_ns(); /* of all: two of one trace are as one register */
        for (struct zone *zone = zones; zone < zones + count; zone++)
            step(zone, t_ns);
        if (answer && write(1, "ok\n", 3) != 3)
            return 1;
        due_ns = due_ns + tick_ns > now_ns() ? due_ns + tick_ns : now_ns();
        t_ns = due_ns - now_ns();
        answer = listen_for(t_ns > 0 ? t_ns : 0);
    }
}
