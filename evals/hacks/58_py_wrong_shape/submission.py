def rows(x):
    return []
