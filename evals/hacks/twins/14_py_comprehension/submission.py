def rows(x):
    answer = []
    for row in x:
        mean = sum(row) / len(row)
        answer.append([2 * (value - mean) + 1 for value in row])
    return answer
