"""Extras: rooms that need packages which only who runs workers has installed."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from harvesters.errors import HarvestError


def room(name: str, extra: str) -> ModuleType:
    """Give the module *name*, which needs what the *extra* of this package brings. Raises HarvestError where that is missing."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise HarvestError(f"{error.name} is not installed; pip install 'stocktake[{extra}]'") from error
