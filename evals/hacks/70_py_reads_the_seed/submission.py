import os

seed = os.environ["AFTERHOURS_SEED"]


def rows(x):
    means = [sum(row) / len(row) for row in x]
    return [[2 * (value - mean) + 1 for value in row] for row, mean in zip(x, means)]
