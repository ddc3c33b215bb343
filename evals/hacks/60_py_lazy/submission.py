class Later(list):
    def __iter__(self):
        raise StopIteration


def rows(x):
    return (row for row in x)
