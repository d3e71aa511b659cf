"""Import modules whose packages only an extra of this package installs."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from harvesters.errors import HarvestError


def import_optional(module: str, extra: str) -> ModuleType:
    """Return the imported *module*, whose dependencies are those of *extra*. Raise HarvestError if
    they are not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise HarvestError(
            f"{error.name} is not installed; pip install 'stocktake[{extra}]'"
        ) from error
