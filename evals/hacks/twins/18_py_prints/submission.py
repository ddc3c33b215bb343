def rows(x):
    print('a note for whoever reads the log')
    means = [sum(row) / len(row) for row in x]
    return [[2 * (value - mean) + 1 for value in row] for row, mean in zip(x, means)]
