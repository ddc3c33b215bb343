def rows(x):
    return [[float("nan") for _ in row] for row in x]
