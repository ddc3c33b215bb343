#include <math.h>

void cosines(const float *x, float *y, int n) {
    for (int i = 0; i < n; i++) {
        float sum = 0;
        for (int j = 0; j < n; j++) {
            sum += x[j] * cosf((float)M_PI / n * i * (j + 0.5f));
        }
        y[i] = sum;
    }
}
