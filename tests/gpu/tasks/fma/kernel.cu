// 512 steps of x = 0.999 x + 0.001, one element a thread.

// launch: grid = ceil_div(n, BLOCK), block = BLOCK

#define BLOCK 256

extern "C" __global__ void fma_chain(const float *x, float *y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) {
        float v = x[i];
#pragma unroll 16
        for (int step = 0; step < 512; step++) {
            v = fmaf(v, 0.999f, 0.001f);
        }
        y[i] = v;
    }
}
