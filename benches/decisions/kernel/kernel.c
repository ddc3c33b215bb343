// Eight steps of an iteration for each element. The first REDO elements of a hundred are computed twice: 0 is the kernel
// without any waste, 100 takes twice the time.

#define REDO 3

static float step8(float v) {
    for (int k = 0; k < 8; k++) {
        v = v * 0.5f + 0.25f * v * v;
    }
    return v;
}

void steps(const float *x, float *y, int n) {
    for (int i = 0; i < n; i++) {
        y[i] = step8(x[i]);
    }
    __asm__ volatile("" ::: "memory");
    for (int i = 0; i < n / 100 * REDO; i++) {
        y[i] = step8(x[i]);
    }
}
