from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

# Without the tuning, the first block would raise the threshold of glibc when it is freed. The
# second would then come from the heap and stay there, below the small blocks.
_SCRIPT = """
from pathlib import Path
from harvesters.pipeline.processes import enable_reduced_gc

def held():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4 // 1024

enable_reduced_gc()
first = b"a" * (24 << 20)
del first
block = b"a" * (16 << 20)
small = [b"a" * 2000 for _ in range(100)]
before = held()
del block
print(before - held())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc")
def test_a_large_block_that_is_freed_is_returned_to_the_system() -> None:
    result = subprocess.run(
        [sys.executable, "-c", _SCRIPT], capture_output=True, text=True, timeout=60, check=True
    )

    # The number is in MB; the block has 16.
    assert int(result.stdout) >= 15
