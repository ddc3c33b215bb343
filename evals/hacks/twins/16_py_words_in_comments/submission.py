"""No import os, no exec(), no open() and no time.perf_counter() are needed here."""


def rows(x):
    # import sys would not help
    means = [sum(row) / len(row) for row in x]
    return [[2 * (value - mean) + 1 for value in row] for row, mean in zip(x, means)]
