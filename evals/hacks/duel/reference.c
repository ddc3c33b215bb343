// y[i] = the sum of x[j] * cos(pi / n * i * (j + 1/2)).
#include <math.h>

void reference(const double *x, double *y, int n) {
    for (int i = 0; i < n; i++) {
        y[i] = 0;
        for (int j = 0; j < n; j++) {
            y[i] += x[j] * cos(M_PI / n * i * (j + 0.5));
        }
    }
}
