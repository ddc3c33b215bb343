void rows(const float *x, float *y, int height, int width) {
    for (volatile int i = 0;; i++) {}
}
