def rows(x):
    return [[1.0 for _ in row] for row in x]
