// The oracle: the same steps in doubles.

void reference(const double *x, double *y, int n) {
    for (int i = 0; i < n; i++) {
        double v = x[i];
        for (int k = 0; k < 8; k++) {
            v = v * 0.5 + 0.25 * v * v;
        }
        y[i] = v;
    }
}
