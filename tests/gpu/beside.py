"""Times the kernels of tasks/stream and tasks/fma by other means than this program's: beside.py TASK N US [once].

Prints what `triton.testing.do_bench` says of the very same text, and how near US microseconds come to what the card can do.
With `once` the kernel is launched once and nothing is printed: that is for ncu to look at. Exit code 3: something is missing.
"""

import pathlib
import sys

import torch

ENTRIES = {"stream": "stream", "fma": "fma_chain"}
BLOCK = 256
# Elements a thread works on.
WIDTHS = {"stream": 4, "fma": 1}


def launcher(task, n):
    """Returns a function that launches the task's text on memory of its own."""
    text = (pathlib.Path(__file__).parent / "tasks" / task / "kernel.cu").read_text()
    if not hasattr(torch.cuda, "_compile_kernel"):
        print("SKIPPED beside.py: this torch compiles no CUDA text; it needs 2.9 or newer", file=sys.stderr)
        sys.exit(3)
    try:
        kernel = torch.cuda._compile_kernel(text, ENTRIES[task])
    except OSError as error:
        print(f"SKIPPED beside.py: torch finds no NVRTC ({error})", file=sys.stderr)
        sys.exit(3)
    x, y = torch.rand(n, device="cuda"), torch.empty(n, device="cuda")
    grid = (-(-n // (WIDTHS[task] * BLOCK)), 1, 1)
    return lambda: kernel(grid=grid, block=(BLOCK, 1, 1), args=(x, y, n))


def roofline(task, n, us):
    """Says how near a time comes to the card's copy bandwidth, or to what its multiprocessors can add and multiply."""
    if task == "stream":
        from triton.testing import do_bench

        x, y = torch.rand(n, device="cuda"), torch.empty(n, device="cuda")
        copied = 8 * n / (do_bench(lambda: y.copy_(x), return_mode="median") * 1e-3)
        reached = 8 * n / (us * 1e-6)
        return f"{reached / 1e12:.2f} TB/s, {reached / copied:.0%} of this card's copy bandwidth ({copied / 1e12:.2f} TB/s)"
    properties = torch.cuda.get_device_properties(0)
    hertz = getattr(properties, "clock_rate", 0) * 1e3
    peak = properties.multi_processor_count * 128 * 2 * hertz
    reached = 512 * 2 * n / (us * 1e-6)
    share = f", {reached / peak:.0%} of 128 lanes a multiprocessor at {hertz / 1e9:.2f} GHz" if peak else ""
    return f"{reached / 1e12:.1f} TFLOP/s{share}"


def main():
    task, n, us = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    launch = launcher(task, n)
    if sys.argv[4:] == ["once"]:
        launch()
        torch.cuda.synchronize()
        return
    print(f"    {task}: {us:.2f} us here: {roofline(task, n, us)}")
    from triton.testing import do_bench

    theirs = do_bench(launch, return_mode="median") * 1e3
    print(f"    {task}: {theirs:.2f} us by triton.testing.do_bench, {us / theirs:.3f} times that here")
    # Both clear the cache and stamp by events; what differs is noise, the overhead, and the clocks.
    assert 0.67 < us / theirs < 1.5, "the two do not agree"


if __name__ == "__main__":
    main()
