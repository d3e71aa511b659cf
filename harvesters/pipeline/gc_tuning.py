"""Run the garbage collector less often while records are read, and return large blocks of memory
to the system when they are freed.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager

# New objects between two collections: the records of a page have no cycles, and looking for some
# took up to a fifth of the time.
_GC_THRESHOLD = 50_000
# A block of more bytes is allocated by itself, and returned to the system when it is freed. The C
# library would raise this size to that of the largest freed block, up to 32 MB.
_OWN_BLOCK = 1 << 20
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


@contextmanager
def reduced_gc() -> Iterator[None]:
    """Collect after every fifty thousand new objects, without the objects that exist now."""
    before = gc.get_threshold()
    enable_reduced_gc()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def enable_reduced_gc() -> None:
    """Reduce collections until this process ends."""
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD, 20, 20)
    _return_freed_blocks()


def _return_freed_blocks() -> None:
    """Fix the thresholds of malloc, which only glibc has.

    Source: https://man7.org/linux/man-pages/man3/mallopt.3.html
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_M_MMAP_THRESHOLD, _OWN_BLOCK)
        mallopt(_M_TRIM_THRESHOLD, _OWN_BLOCK)
