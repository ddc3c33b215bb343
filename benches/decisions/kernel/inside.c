// The kernel timed by its own process, as it is not done: what it is compared with that a process of its own takes and strays by.
// Prints the microseconds of each of CALLS calls.

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void steps(const float *x, float *y, int n);

#define N 40000
#define WALK (2 << 20)

static void evict(char *scratch, const float *x, const float *y) {
    for (long i = 0; i < WALK; i += 64) scratch[i]++;
#ifdef __x86_64__
    for (long i = 0; i < N; i += 16) __builtin_ia32_clflush(x + i), __builtin_ia32_clflush(y + i);
    __builtin_ia32_mfence();
#endif
}

int main(void) {
    float *x = aligned_alloc(4096, N * sizeof *x / 4096 * 4096 + 4096);
    float *y = aligned_alloc(4096, N * sizeof *y / 4096 * 4096 + 4096);
    char *scratch = calloc(WALK, 1);
    for (int call = 0; call <= CALLS; call++) {
        for (int i = 0; i < N; i++) x[i] = (float)rand() / RAND_MAX, y[i] = -1;
        evict(scratch, x, y);
        struct timespec before, after;
        clock_gettime(CLOCK_MONOTONIC, &before);
        steps(x, y, N);
        clock_gettime(CLOCK_MONOTONIC, &after);
        if (call > 0) {
            printf("%.3f\n", (after.tv_sec - before.tv_sec) * 1e6 + (after.tv_nsec - before.tv_nsec) / 1e3);
        }
    }
}
