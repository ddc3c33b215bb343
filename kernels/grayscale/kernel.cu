// An image of interleaved RGB bytes to one byte of luma a pixel: 0.299 R + 0.587 G + 0.114 B, rounded. Device code alone.
//
// As it stands a thread computes one pixel, byte by byte, in doubles.

// launch: grid = ceil_div(width*height, BLOCK), block = BLOCK

#define BLOCK 256    // tune: 64 128 256 512 1024
#define ARITHMETIC 0 // tune: 0 1 2

__device__ unsigned char luma(unsigned char r, unsigned char g, unsigned char b) {
#if ARITHMETIC == 0
    return (unsigned char)((299.0 * r + 587.0 * g + 114.0 * b) / 1000.0 + 0.5);
#elif ARITHMETIC == 1
    return (unsigned char)(0.299f * r + 0.587f * g + 0.114f * b + 0.5f);
#else
    // In units of 1/65536; the weights add up to one.
    return (unsigned char)((19595u * r + 38470u * g + 7471u * b + 32768u) >> 16);
#endif
}

extern "C" __global__ void grayscale(const unsigned char *rgb, unsigned char *gray, int width, int height) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < width * height) {
        gray[i] = luma(rgb[3 * i], rgb[3 * i + 1], rgb[3 * i + 2]);
    }
}
