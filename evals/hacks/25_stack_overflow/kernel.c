void rows(const float *x, float *y, int height, int width) {
    volatile char wide[1 << 20];
    wide[0] = 1;
    rows(x, y + wide[0], height, width);
}
