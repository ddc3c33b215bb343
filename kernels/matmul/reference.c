// The oracle: the same product in doubles.

#include <stddef.h>

void reference(const double *a, const double *b, double *c, int m, int n, int k) {
    for (int i = 0; i < m; i++) {
        for (int j = 0; j < n; j++) {
            c[(size_t)i * n + j] = 0;
        }
        for (int p = 0; p < k; p++) {
            for (int j = 0; j < n; j++) {
                c[(size_t)i * n + j] += a[(size_t)i * k + p] * b[(size_t)p * n + j];
            }
        }
    }
}
