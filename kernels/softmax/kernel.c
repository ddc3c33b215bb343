// The softmax of each row of a rows x cols matrix of 32-bit floats. One thread.
//
// A row is passed over three times: its largest element, the sum of the exponentials, and the quotients. As it stands the
// exponentials are computed twice, by the library, one at a time.

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#define KEEP_EXP 0   // tune: 0 1
#define RECIPROCAL 0 // tune: 0 1
#define SIMD 0       // tune: 0 1
#define POLYNOMIAL 0 // tune: 0 1

#if SIMD
#define VECTOR(clause) _Pragma(clause)
#else
#define VECTOR(clause)
#endif

// e^x for x <= 0: 2^n * 2^f with f in [-0.5, 0.5], the second factor by its Taylor series, good to 1e-6. What would be
// smaller than the smallest normal number stops there.
static inline float exp_polynomial(float x) {
    float t = x * 1.44269504f;
    int32_t n = (int32_t)(t - 0.5f);
    float f = (t - (float)n) * 0.69314718f;
    float p = 1.0f / 720;
    p = p * f + 1.0f / 120;
    p = p * f + 1.0f / 24;
    p = p * f + 1.0f / 6;
    p = p * f + 0.5f;
    p = p * f + 1.0f;
    p = p * f + 1.0f;
    int32_t normal = n < -126 ? -126 : n;
    union { int32_t bits; float number; } scale = {.bits = (normal + 127) * (1 << 23)};
    return p * scale.number;
}

static inline float exp_of(float x) { return POLYNOMIAL ? exp_polynomial(x) : expf(x); }

static void row_softmax(const float *x, float *y, int cols) {
    float most = x[0];
    VECTOR("omp simd reduction(max : most)")
    for (int j = 0; j < cols; j++) {
        most = x[j] > most ? x[j] : most;
    }
    float sum = 0;
    VECTOR("omp simd reduction(+ : sum)")
    for (int j = 0; j < cols; j++) {
        float e = exp_of(x[j] - most);
        if (KEEP_EXP) {
            y[j] = e;
        }
        sum += e;
    }
    float inverse = 1.0f / sum;
    VECTOR("omp simd")
    for (int j = 0; j < cols; j++) {
        float e = KEEP_EXP ? y[j] : exp_of(x[j] - most);
        y[j] = RECIPROCAL ? e * inverse : e / sum;
    }
}

void softmax(const float *x, float *y, int rows, int cols) {
    for (int i = 0; i < rows; i++) {
        row_softmax(x + (size_t)i * cols, y + (size_t)i * cols, cols);
    }
}
