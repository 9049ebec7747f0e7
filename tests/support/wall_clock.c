/* Preloaded into a relay under test: its time of day is wrong by as many seconds as the file WALL_CLOCK says. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int told = real(clock, time);
    if (told == 0 && clock == CLOCK_REALTIME) {
        char wrong_by[32] = {0};
        int file = open(getenv("WALL_CLOCK"), O_RDONLY | O_CLOEXEC);
        if (file >= 0) {
            if (read(file, wrong_by, sizeof wrong_by - 1) > 0) time->tv_sec += atoll(wrong_by);
            close(file);
        }
    }
    return told;
}
