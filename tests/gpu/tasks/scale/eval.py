"""Evaluates a submission on the GPU: the protocol of GPU MODE's tasks, for vectors.

The submission runs in a process of its own, which has no descriptor to report to.
"""

import multiprocessing
import os
import statistics
import sys


def read_cases(path, secret):
    cases = []
    for line in open(path).read().splitlines():
        args = dict(part.strip().split(": ", 1) for part in line.split(";"))
        args["seed"] = int(args["seed"]) * 1000003 + secret
        cases.append((line, args))
    return cases


def call(args):
    from reference import check, make_input
    from submission import kernel
    import torch

    data = make_input(**args)
    copy = data.clone()
    # The first call warms up.
    kernel(data.clone())
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    output = kernel(data)
    end.record()
    torch.cuda.synchronize()
    return check(copy, output), begin.elapsed_time(end) * 1e6


def test(say, pool, cases):
    passed = True
    for index, (_, args) in enumerate(cases):
        error, _ = pool.apply(call, (args,))
        say(f"test.{index}.status", "fail" if error else "pass")
        if error:
            say(f"test.{index}.error", error)
        passed = passed and not error
    return passed


def benchmark(say, pool, cases, recheck):
    passed = True
    for index, (_, args) in enumerate(cases):
        times = []
        for turn in range(5):
            if recheck:
                args = {**args, "seed": args["seed"] + 13 * turn}
            error, spent = pool.apply(call, (args,))
            times.append(spent)
            if error:
                say(f"benchmark.{index}.status", "fail")
                say(f"benchmark.{index}.error", error)
                passed = False
                break
        else:
            deviation = statistics.stdev(times)
            say(f"benchmark.{index}.runs", len(times))
            say(f"benchmark.{index}.mean", statistics.fmean(times))
            say(f"benchmark.{index}.std", deviation)
            say(f"benchmark.{index}.err", deviation / len(times) ** 0.5)
            say(f"benchmark.{index}.best", float(min(times)))
            say(f"benchmark.{index}.worst", float(max(times)))
    return passed


def main():
    descriptor = os.getenv("POPCORN_FD")
    if not descriptor:
        return 111
    mode, path = sys.argv[1:3]
    secret = int(os.environ.pop("POPCORN_SEED", "0"))
    try:
        cases = read_cases(path, secret)
    except (OSError, ValueError) as error:
        print(f"cases: {error}", file=sys.stderr)
        return 113
    report = os.fdopen(int(descriptor), "w", buffering=1)
    os.set_inheritable(int(descriptor), False)

    def say(key, value):
        print(f"{key}: {value}", file=report)

    kind = "test" if mode == "test" else "benchmark"
    say(f"{kind}-count", len(cases))
    for index, (line, _) in enumerate(cases):
        say(f"{kind}.{index}.spec", line)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        if mode == "test":
            passed = test(say, pool, cases)
        else:
            passed = benchmark(say, pool, cases, mode == "leaderboard")
    say("check", "pass" if passed else "fail")
    return 0 if passed else 112


if __name__ == "__main__":
    sys.exit(main())
