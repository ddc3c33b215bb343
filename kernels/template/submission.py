def kernel(data):
    ordered = []
    for number in data:
        low, high = 0, len(ordered)
        while low < high:
            middle = (low + high) // 2
            if ordered[middle] < number:
                low = middle + 1
            else:
                high = middle
        ordered.insert(low, number)
    return ordered
