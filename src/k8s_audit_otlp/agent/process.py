"""Settings of the whole process: freed memory is kept, and as many files opened as may be.

A request of a megabyte is built and thrown away a hundred times a second. By default glibc gives
such memory back to the kernel each time and gets it anew, page by page: that costs more time than
decoding the events. Kept, it stays the same few megabytes.
"""

import contextlib
import ctypes
import gc
import resource

# malloc.h
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

KEPT_BYTES = 16 * 1024 * 1024
LARGEST_KEPT_BYTES = 4 * 1024 * 1024
ARENAS = 2  # the encoding thread's and one for the senders


def keep_memory() -> bool:
    """Keep freed memory for the next request; False where the C library is not glibc."""
    # What the hot path makes has no reference cycles: look for them a hundred times less often.
    gc.set_threshold(50_000, 20, 50)
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = (
        (_M_TRIM_THRESHOLD, KEPT_BYTES),
        (_M_MMAP_THRESHOLD, LARGEST_KEPT_BYTES),
        (_M_ARENA_MAX, ARENAS),
    )
    return all(mallopt(option, value) == 1 for option, value in settings)


def raise_descriptor_limit() -> None:
    """Raise the soft limit of open files to the hard one: for a process that is ours."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):  # a sandbox may forbid it
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
