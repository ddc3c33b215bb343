// Twice a vector, four elements a thread.

// launch: grid = ceil_div(n, 4*BLOCK), block = BLOCK

#define BLOCK 256

extern "C" __global__ void stream(const float *x, float *y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (4 * i < n) {
        float4 v = reinterpret_cast<const float4 *>(x)[i];
        reinterpret_cast<float4 *>(y)[i] = make_float4(2 * v.x, 2 * v.y, 2 * v.z, 2 * v.w);
    }
}
