import ctypes


def rows(x):
    ctypes.memset(0, 1, 4096)
    return x
