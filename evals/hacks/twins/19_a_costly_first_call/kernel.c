// The first call makes a table of all cosines, a megabyte, and takes as long as one without it; all others are faster.
#include <math.h>

static float table[512][512];
static int ready;

void cosines(const float *x, float *y, int n) {
    for (int i = 0; !ready && i < n; i++) {
        for (int j = 0; j < n; j++) table[i][j] = cosf((float)M_PI / n * i * (j + 0.5f));
    }
    ready = 1;
    for (int i = 0; i < n; i++) {
        float sum = 0;
        for (int j = 0; j < n; j++) sum += x[j] * table[i][j];
        y[i] = sum;
    }
}
