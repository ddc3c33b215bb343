"""A harness to copy and fill in. As it stands it measures a `kernel(data)` that sorts a list of numbers, on the processor.

What a harness is told and what it writes stands in docs/harness.md.
"""

import json
import multiprocessing
import os
import platform
import random
import statistics
import time

# --- The problem: this is what you replace. -------------------------------------------------------------------------------

CASES = {"1000": 1_000, "20000": 20_000}


def make_input(size, rng):
    """Returns the input of one call. It depends on nothing but its arguments."""
    return [rng.random() for _ in range(size)]


def difference(data, output):
    """Returns what is wrong with the output for `data`, or nothing."""
    expected = sorted(data)
    if not isinstance(output, list) or len(output) != len(expected):
        return f"expected a list of {len(expected)} numbers"
    wrong = [place for place, pair in enumerate(zip(expected, output)) if pair[0] != pair[1]]
    return f"element {wrong[0]} of {len(wrong)} that differ: expected {expected[wrong[0]]}" if wrong else None


def device():
    """Returns the device that the calls run on, as its driver names it."""
    return {"name": f"cpu ({platform.machine()})"}


# --- The measurement: this can stay. --------------------------------------------------------------------------------------


def serve(pipe):
    """Calls the kernel, in a process that knows neither the seed nor the expected output nor where the result goes."""
    for name in [name for name in os.environ if name.startswith("AFTERHOURS_")]:
        del os.environ[name]
    from submission import kernel

    while True:
        data = pipe.recv()
        begun = time.perf_counter_ns()
        output = kernel(data)
        spent = time.perf_counter_ns() - begun
        pipe.send((output, spent))


def measure(pipe, size, rng, stages, early_stop_us):
    """Returns the microseconds of each call, and what was wrong with the first wrong answer."""
    times = []
    for repeats in stages:
        stage = []
        for _ in range(repeats):
            data = make_input(size, rng)
            pipe.send(data)
            output, spent = pipe.recv()
            error = difference(data, output)
            if error:
                return [], error
            stage.append(max(spent, 1) / 1000)
        times += stage
        if early_stop_us and statistics.median(stage) > early_stop_us:
            break
    return times, None


def main():
    rng = random.Random(int(os.environ["AFTERHOURS_SEED"]))
    stages = [int(repeats) for repeats in os.environ["PYGPUBENCH_STAGE_REPEATS"].split(",")]
    early_stop_us = float(os.environ["PYGPUBENCH_EARLY_STOP_US"])
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    # Without our copy of its end, a kernel that ends its process ends the pipe, and this program with an error.
    theirs.close()
    cases = []
    for name, size in CASES.items():
        times, error = measure(pipe, size, rng, stages, early_stop_us)
        cases.append({"id": name, "passed": not error, "error": error, "time_us": times})
        if error:
            break
    with open(os.environ["AFTERHOURS_RESULT"], "w") as file:
        json.dump({"device": device(), "cases": cases, "harness": "template"}, file)


if __name__ == "__main__":
    main()
