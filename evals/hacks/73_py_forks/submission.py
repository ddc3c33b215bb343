import os


def rows(x):
    os.fork()
    return [[1.0 for _ in row] for row in x]
