"""Memory: the garbage collector looks less often while records are read."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# made before it looks: a page's records hold no circles, and to look for some took up to a fifth of
# the time
_GC_THRESHOLD = 50_000


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
