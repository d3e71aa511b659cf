"""Turn texts into vectors, as ``languages.embedding`` does, with the errors of harvests."""

from __future__ import annotations

from collections.abc import Sequence

from harvesters.errors import HarvestError
from languages import embedding
from languages.embedding import WIDTH, ModelError, Vectors

__all__ = ["WIDTH", "Vectors", "check_model", "embed"]


def embed(texts: Sequence[str]) -> Vectors:
    """Return a row of ``WIDTH`` numbers for each text. Raises HarvestError as ``check_model`` does."""
    try:
        return embedding.embed(texts)
    except ModelError as error:
        raise HarvestError(str(error)) from error


def check_model() -> str:
    """Return the name and version of the model. Raises HarvestError if it is not installed, or if
    its file is missing or damaged.
    """
    try:
        return embedding.check_model()
    except ModelError as error:
        raise HarvestError(str(error)) from error
