def rows(x):
    print([[1.0 for _ in row] for row in x])
    return [[1.0 for _ in row] for row in x]
