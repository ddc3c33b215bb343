"""An image of RGB floats to its luma: 0.2989 R + 0.5870 G + 0.1140 B.

As it stands, the products are written to memory and read again for the sum.
"""

import torch
import triton
import triton.language as tl

ONE_PASS = 0  # tune: 0 1
BLOCK = 1024  # tune: 256 512 1024 2048
NUM_WARPS = 4  # tune: 2 4 8

_weights = torch.tensor([0.2989, 0.5870, 0.1140], device="cuda:0", dtype=torch.float32)


@triton.jit
def luma(gray, rgb, pixels, BLOCK: tl.constexpr):
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < pixels
    red = tl.load(rgb + 3 * pixel, mask=inside)
    green = tl.load(rgb + 3 * pixel + 1, mask=inside)
    blue = tl.load(rgb + 3 * pixel + 2, mask=inside)
    tl.store(gray + pixel, 0.2989 * red + 0.5870 * green + 0.1140 * blue, mask=inside)


def kernel(gray, rgb):
    if ONE_PASS:
        pixels = gray.numel()
        luma[(triton.cdiv(pixels, BLOCK),)](gray, rgb, pixels, BLOCK=BLOCK, num_warps=NUM_WARPS)
    else:
        torch.sum(rgb * _weights, dim=-1, out=gray)
