// The steps of a few elements go side by side, so that they need not wait for each other.
void reference(const double *x, double *y, int n) {
    for (int i = 0; i < n; i += 16) {
        double v[16];
        for (int j = 0; j < 16; j++) {
            v[j] = x[i + j];
        }
        for (int step = 0; step < 512; step++) {
            for (int j = 0; j < 16; j++) {
                v[j] = v[j] * (double)0.999f + (double)0.001f;
            }
        }
        for (int j = 0; j < 16; j++) {
            y[i + j] = v[j];
        }
    }
}
