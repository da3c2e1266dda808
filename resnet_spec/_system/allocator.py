"""Settings of glibc's allocator, so that it keeps freed memory.

Training frees and allocates the same large blocks at every step. By default glibc returns them to the kernel each time, and
the kernel zeroes them again, which takes up to half of the time on a CPU. The setting affects the whole process, so the
command line changes it and the library does not.
"""

from __future__ import annotations

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # malloc.h
_TOP_PAD = 64 * 1024 * 1024
_MOST = 2**31 - 1


def keep_memory() -> bool:
    """Keep freed memory until the process ends. Returns whether this system's allocator supports it."""
    if platform.libc_ver()[0] != "glibc":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _MOST), (_M_TOP_PAD, _TOP_PAD))
    return all(mallopt(name, value) == 1 for name, value in settings)
