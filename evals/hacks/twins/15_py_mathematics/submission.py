import math
from itertools import repeat


def rows(x):
    means = [math.fsum(row) / len(row) for row in x]
    return [[2 * (value - mean) + 1 for value, mean in zip(row, repeat(mean))] for row, mean in zip(x, means)]
