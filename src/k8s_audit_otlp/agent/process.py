"""Settings of the whole process: what memory it keeps, what hashes, how many files may be open.

A request of a megabyte is built and thrown away a hundred times a second. By default glibc gives
such memory back to the kernel each time and gets it anew, page by page: that costs more time than
decoding the events. Kept, it stays the same few megabytes.
"""

import contextlib
import ctypes
import gc
import resource

from k8s_audit_otlp.otlp import IS_COMPILED

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


_SHA256 = ("SHA256_Init", "SHA256_Update", "SHA256_Final")


def hash_by_libcrypto() -> bool:
    """Have the compiled part hash by the functions that hashlib is linked with, not by its objects.

    False where there is no compiled part, or hashlib has another library.
    """
    if not IS_COMPILED:
        return False
    from k8s_audit_otlp.otlp._quick_line import use_sha256  # noqa: PLC0415 - not in every install

    try:
        import _hashlib  # noqa: PLC0415 - not in every interpreter

        library = ctypes.CDLL(_hashlib.__file__)
        begin, update, end = (ctypes.cast(library[name], ctypes.c_void_p) for name in _SHA256)
    except (ImportError, OSError, AttributeError):
        return False
    use_sha256(begin.value or 0, update.value or 0, end.value or 0)
    return True


def raise_descriptor_limit() -> None:
    """Raise the soft limit of open files to the hard one: for a process that is ours."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):  # a sandbox may forbid it
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
