"""Luma on a GPU, measured by PyGPUBench (0.0.3 or later): every call on an image of its own, checked, with a cold cache.

The kernel runs in a process of PyGPUBench's own. Its results come back here, are printed for a reader, and are written to
AFTERHOURS_RESULT for the program.
"""

import json
import os
import random
import statistics
import sys

import pygpubench
import torch

# Sizes in pixels; a vector of 16 bytes divides the rows of all but the last.
CASES = [{"height": 1024, "width": 1024}, {"height": 4096, "width": 4096}, {"height": 1021, "width": 764}]
TOLERANCE = 1e-5


def generate_test_case(*, height, width, seed):
    generator = torch.Generator(device="cuda")
    generator.manual_seed(seed)
    rgb = torch.rand(height, width, 3, device="cuda", dtype=torch.float32, generator=generator)
    gray = torch.empty(height, width, device="cuda", dtype=torch.float32)
    weights = torch.tensor([0.2989, 0.5870, 0.1140], device="cuda", dtype=torch.float64)
    expected = torch.sum(rgb.double() * weights, dim=-1).float().contiguous()
    return (gray, rgb), (expected, TOLERANCE, TOLERANCE)


def protection():
    """PyGPUBench refuses to run as root unless told to; where the system has no landlock or mseal, it must be told too."""
    switched_off = os.environ.get("PYGPUBENCH_UNPROTECTED") == "1"
    return {"allow_root": os.geteuid() == 0, "landlock": not switched_off, "mseal": not switched_off}


def measure(index, case, stages, early_stop_us, seeds):
    """Returns the times of a case in microseconds, and why it failed, where it did."""
    times = []
    for number, repeats in enumerate(stages, 1):
        # One call alone is none to PyGPUBench.
        repeats, seed = max(repeats, 2), seeds.getrandbits(31)
        result = pygpubench.do_bench_isolated("submission.kernel", generate_test_case, case, repeats, seed, **protection())
        ran = [us for us in result.time_us if us > 0]
        if result.errors:
            return [], f"{result.errors} elements differ"
        if len(ran) < repeats:
            return [], f"{len(ran)} of {repeats} calls ran in the time there is for them"
        median = statistics.median(ran)
        print(f"case_set=0 case_index={index} stage={number}/{len(stages)} repeats={repeats} median_us={median:.3f} errors=0")
        times += ran
        if early_stop_us and median > early_stop_us:
            print(f"EARLY_STOP: {median:.3f} us is above {early_stop_us} us")
            break
    return times, None


def main():
    seeds = random.Random(int(os.environ["AFTERHOURS_SEED"]))
    stages = [int(repeats) for repeats in os.environ["PYGPUBENCH_STAGE_REPEATS"].split(",")]
    early_stop_us = float(os.environ["PYGPUBENCH_EARLY_STOP_US"])
    cases = []
    for index, case in enumerate(CASES):
        times, error = measure(index, case, stages, early_stop_us, seeds)
        cases.append({"id": f"{case['height']}x{case['width']}", "passed": not error, "error": error, "time_us": times})
        if error:
            print(f"FAIL {error}")
            break
    properties = torch.cuda.get_device_properties(0)
    device = {"name": properties.name, "compute_capability": f"{properties.major}.{properties.minor}"}
    with open(os.environ["AFTERHOURS_RESULT"], "w") as file:
        json.dump({"device": device, "cases": cases, "harness": "grayscale"}, file)
    return 1 if error else 0


if __name__ == "__main__":
    sys.exit(main())
