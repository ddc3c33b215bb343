// The oracle: the luma before it is rounded; the tolerance allows for the rounding.

#include <stddef.h>

void reference(const double *rgb, double *gray, int width, int height) {
    for (size_t i = 0; i < (size_t)width * height; i++) {
        gray[i] = 0.299 * rgb[3 * i] + 0.587 * rgb[3 * i + 1] + 0.114 * rgb[3 * i + 2];
    }
}
