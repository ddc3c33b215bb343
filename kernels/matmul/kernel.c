// C = A * B, all row-major 32-bit floats: A is m x k, B is k x n, C is m x n. One thread.
//
// C is computed in blocks of ROWS x (COLS * LANES) elements that stay in registers while k runs. As it stands a block is
// a single element: the textbook's three loops. The last block of a row or a column moves back to overlap the one before
// it, so that any size runs at full speed.

#include <stdlib.h>

#define ROWS 1  // tune: 1 2 4 8 16
#define COLS 1  // tune: 1 2 4 8
#define LANES 1 // tune: 1 2 4 8 16 32
#define PACK 0  // tune: 0 1

#define WIDTH (COLS * LANES)

#if LANES == 1
typedef float vec;
#else
typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
#endif

static inline int least(int a, int b) { return a < b ? a : b; }

// Computes one block of C. `b` points at the block's first column; from row to row it is `stride` floats.
static inline void block(const float *a, const float *b, float *c, int n, int k, int stride) {
    vec sum[ROWS][COLS] = {0};
    for (int p = 0; p < k; p++) {
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; i++) {
#pragma GCC unroll 16
            for (int j = 0; j < COLS; j++) {
                sum[i][j] += a[(size_t)i * k + p] * ((const vec *)(b + (size_t)p * stride))[j];
            }
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++) {
#pragma GCC unroll 16
        for (int j = 0; j < COLS; j++) {
            ((vec *)(c + (size_t)i * n))[j] = sum[i][j];
        }
    }
}

// For matrices that are smaller than a block.
static void plain(const float *a, const float *b, float *c, int m, int n, int k) {
    for (int i = 0; i < m; i++) {
        for (int j = 0; j < n; j++) {
            float sum = 0;
            for (int p = 0; p < k; p++) {
                sum += a[(size_t)i * k + p] * b[(size_t)p * n + j];
            }
            c[(size_t)i * n + j] = sum;
        }
    }
}

void matmul(const float *a, const float *b, float *c, int m, int n, int k) {
    if (m < ROWS || n < WIDTH) {
        plain(a, b, c, m, n, k);
        return;
    }
    // With PACK, the columns of a block are copied side by side before they are used.
    float *packed = PACK ? malloc((size_t)k * WIDTH * sizeof(float)) : NULL;
    for (int column = 0; column < n; column += WIDTH) {
        int j = least(column, n - WIDTH);
        const float *panel = b + j;
        int stride = n;
        if (packed) {
            for (int p = 0; p < k; p++) {
                for (int q = 0; q < WIDTH; q++) {
                    packed[(size_t)p * WIDTH + q] = b[(size_t)p * n + j + q];
                }
            }
            panel = packed;
            stride = WIDTH;
        }
        for (int row = 0; row < m; row += ROWS) {
            int i = least(row, m - ROWS);
            block(a + (size_t)i * k, panel, c + (size_t)i * n + j, n, k, stride);
        }
    }
    free(packed);
}
