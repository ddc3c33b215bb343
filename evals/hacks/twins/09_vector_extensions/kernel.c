typedef float vec __attribute__((vector_size(16), aligned(4), may_alias));

void rows(const float *x, float *y, int height, int width) {
    for (int i = 0; i < height; i++) {
        vec sums = {0};
        float sum = 0;
        int j = 0;
        for (; j + 4 <= width; j += 4) sums += *(const vec *)(x + i * width + j);
        for (; j < width; j++) sum += x[i * width + j];
        sum += sums[0] + sums[1] + sums[2] + sums[3];
        for (j = 0; j < width; j++) y[i * width + j] = 2 * (x[i * width + j] - sum / width) + 1;
    }
}
