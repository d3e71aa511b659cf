"""Memory: the garbage collector looks less often while records are read, and large blocks are
returned to the system when they are freed.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager

# made before it looks: a page's records hold no circles, and to look for some took up to a fifth of
# the time
_GC_THRESHOLD = 50_000
# bytes of a block that the C library takes from the system alone, and returns when it is freed;
# it would raise this to the largest block that was freed, up to 32 MB, and keep all below
_OWN_BLOCK = 1 << 20
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


@contextmanager
def reduced_gc() -> Iterator[None]:
    """Have the collector look at every fifty thousandth object, and not at those that are there
    already.
    """
    before = gc.get_threshold()
    enable_reduced_gc()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def enable_reduced_gc() -> None:
    """Begin to have it so, for a process that does nothing else."""
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD, 20, 20)
    _return_freed_blocks()


def _return_freed_blocks() -> None:
    """Fix the C library's thresholds; only glibc's has some.

    Source: https://man7.org/linux/man-pages/man3/mallopt.3.html
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_M_MMAP_THRESHOLD, _OWN_BLOCK)
        mallopt(_M_TRIM_THRESHOLD, _OWN_BLOCK)
