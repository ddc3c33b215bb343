// y = 2 * (x - mean of x's row) + 1.

void reference(const double *x, double *y, int height, int width) {
    for (int i = 0; i < height; i++) {
        double sum = 0;
        for (int j = 0; j < width; j++) {
            sum += x[i * width + j];
        }
        for (int j = 0; j < width; j++) {
            y[i * width + j] = 2 * (x[i * width + j] - sum / width) + 1;
        }
    }
}
