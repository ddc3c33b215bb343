// An image of interleaved RGB bytes to one byte of luma a pixel: 0.299 R + 0.587 G + 0.114 B, rounded. One thread.
//
// As it stands the image is walked down its columns, and a pixel is computed in doubles.

#include <stddef.h>

#define BY_ROWS 0    // tune: 0 1
#define ARITHMETIC 0 // tune: 0 1 2
#define SIMD 0       // tune: 0 1

#if SIMD
#define VECTOR _Pragma("omp simd")
#else
#define VECTOR
#endif

static inline unsigned char luma(unsigned char r, unsigned char g, unsigned char b) {
#if ARITHMETIC == 0
    return (unsigned char)((299.0 * r + 587.0 * g + 114.0 * b) / 1000.0 + 0.5);
#elif ARITHMETIC == 1
    return (unsigned char)(0.299f * r + 0.587f * g + 0.114f * b + 0.5f);
#else
    // In units of 1/65536; the weights add up to one.
    return (unsigned char)((19595u * r + 38470u * g + 7471u * b + 32768u) >> 16);
#endif
}

void grayscale(const unsigned char *rgb, unsigned char *gray, int width, int height) {
#if BY_ROWS
    VECTOR
    for (int i = 0; i < width * height; i++) {
        gray[i] = luma(rgb[3 * i], rgb[3 * i + 1], rgb[3 * i + 2]);
    }
#else
    for (int x = 0; x < width; x++) {
        VECTOR
        for (int y = 0; y < height; y++) {
            int i = y * width + x;
            gray[i] = luma(rgb[3 * i], rgb[3 * i + 1], rgb[3 * i + 2]);
        }
    }
#endif
}
