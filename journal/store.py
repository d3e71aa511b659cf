"""Store: the place that machines share, at any address that fsspec knows, such as ``s3://bucket/stocktake``; folders are copies of it.

Nothing in it but the status is ever changed: a name is given once, by a conditional put, so that of two writers one is told, and what is
half written has no name. Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import fsspec

from journal.errors import FullError, JournalError

_THEIRS = ("botocore", "aiobotocore", "aiohttp", "gcsfs", "azure")  # whose errors are a store's
NAME = "store.json"  # beside the journal's entries: where they lie


@dataclass(frozen=True, slots=True)
class Store:
    """The store at *url*; every method raises FullError where it does not answer."""

    url: str

    def add(self, name: str, path: Path) -> None:
        """Put a file under a name that is new. Raises FileExistsError where the name is taken."""
        system, root = _system(self.url)
        try:
            if system.async_impl:
                system.put_file(str(path), f"{root}/{name}", mode="create")
            else:
                _beside(system, path, f"{root}/{name}")
        except FileExistsError:
            raise
        except Exception as error:
            if not _theirs(error):
                raise
            raise self._trouble(name, error) from error

    def replace(self, name: str, path: Path) -> None:
        """Put a file in the place of what lies under a name: the status, which alone is ever replaced; readers see the old or the new."""
        system, root = _system(self.url)
        try:
            if system.async_impl:
                system.put_file(str(path), f"{root}/{name}")
            else:
                system.makedirs(root, exist_ok=True)
                part = f"{root}/{name}.{path.name}.part"
                system.put_file(str(path), part)
                system.mv(part, f"{root}/{name}")
        except Exception as error:
            if not _theirs(error):
                raise
            raise self._trouble(name, error) from error

    def get(self, name: str, path: Path) -> bool:
        """Fetch what lies under a name into *path*; False where there is nothing."""
        system, root = _system(self.url)
        try:
            system.get_file(f"{root}/{name}", str(path))
        except FileNotFoundError:
            path.unlink(missing_ok=True)
            return False
        except Exception as error:
            path.unlink(missing_ok=True)
            if not _theirs(error):
                raise
            raise self._trouble(name, error) from error
        return True

    def names(self, folder: str) -> list[str]:
        """List the names in a folder, sorted."""
        system, root = _system(self.url)
        try:
            system.invalidate_cache()
            return sorted(str(path).rpartition("/")[2] for path in system.ls(f"{root}/{folder}", detail=False))
        except FileNotFoundError:
            return []
        except Exception as error:
            if not _theirs(error):
                raise
            raise self._trouble(folder, error) from error

    def _trouble(self, name: str, error: Exception) -> FullError:
        return FullError(f"the store {self.url} does not take or give {name}: {error}; mend it, then run again")


def _theirs(error: Exception) -> bool:
    """Tell a store's own errors, whose classes are known only where its package is installed, from faults of ours."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _THEIRS


def _beside(system: Any, path: Path, name: str) -> None:
    """Put a file into a system that has no conditional put: written beside, then linked or moved where the name is free."""
    system.makedirs(name.rpartition("/")[0], exist_ok=True)
    part = f"{name}.{path.name}.part"
    system.put_file(str(path), part)
    try:
        if system.exists(name):
            raise FileExistsError(name)
        system.mv(part, name)
    finally:
        with suppress(FileNotFoundError):
            system.rm_file(part)


@cache
def _system(url: str) -> tuple[Any, str]:
    options = {"use_listings_cache": False, "skip_instance_cache": True} if url.startswith("s3:") else {}
    try:
        system, root = fsspec.core.url_to_fs(url, **options)
    except (ImportError, ValueError) as error:
        raise JournalError(f"the store {url!r} cannot be used: {error}; for s3:// pip install 'stocktake[s3]'") from error
    return system, root.rstrip("/")


def read(folder: Path) -> Store | None:
    """Give the store of the journal in *folder*, None where the folder itself is the journal."""
    try:
        return Store(json.loads((folder / NAME).read_bytes())["url"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JournalError(f"{folder / NAME} cannot be read ({error}); set STOCKTAKE_STORE again, or remove it") from error


def settle(folder: Path, url: str) -> None:
    """Note that the journal in *folder* is a copy of the one in the store at *url*; raises JournalError where it is another's."""
    known = read(folder)
    if known and known.url != url.rstrip("/"):
        raise JournalError(f"{folder} is a copy of the journal in {known.url}, not in {url}; use another data folder")
    if known is None:
        if any(folder.glob("*.gz")):
            told = f"use an empty data folder, and put its entries into {url}/journal yourself"
            raise JournalError(f"{folder} holds a journal of its own; {told}")
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{NAME}.new"
        part.write_text(json.dumps({"url": url.rstrip("/")}))
        part.replace(folder / NAME)
