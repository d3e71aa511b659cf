"""Parcels: work packed for another process, which does it where its code is the same as here, and refuses it where not."""

from __future__ import annotations

import hashlib
import pickle
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from lxml import etree
from lxml.etree import _Element
from lxml.html import HtmlElement

from harvesters.errors import ClusterError
from harvesters.ledger.models import StagedRecord
from harvesters.page_model import Record
from harvesters.runs.craft import Begin, Case, Craft, Task, prepared

_ROOMS = ("vocab", "shapes", "journal", "harvesters")
_ENGINES = ("lxml", "orjson", "py3langid", "pycountry", "pyoxigraph", "pyshacl", "shacl")  # whose other versions may say other things
# An XPath that may lead out of the record, into the page around it: such records are worked on where the page is.
_OUTSIDE = re.compile(r"ancestor|parent|preceding|following|\.\.|lang\s*\(|(?:^|[\s(|,=\[])/")
_UNPACKABLE = (pickle.PicklingError, TypeError, AttributeError, RecursionError)
_TASKS = 16  # whose mappings are kept ready: runs at once, and then some


@dataclass(frozen=True, slots=True)
class Parcel:
    """Work for another process: the *code* that it was packed by ("" for none in particular), and pickled its task and its cases."""

    code: str
    task: bytes
    cases: bytes


def travels(task: Task) -> bool:
    """Tell whether the task's records may leave the page that they came on."""
    return not any(_OUTSIDE.search(path) for path in task.source.fields.values())


def packed(task: bytes, cases: Sequence[Case], code: str = "") -> Parcel | None:
    """Pack work on *cases* for another process; None where one of them holds what cannot be packed.

    An XML element goes as its record's raw bytes, which are that element written out; of any other payload these stay here.
    """
    if any(isinstance(case.record.payload, HtmlElement) for case in cases):
        return None  # what a browser forgives is no XML that can be read again
    try:
        return Parcel(code, task, pickle.dumps([_bare(case) for case in cases], pickle.HIGHEST_PROTOCOL))
    except _UNPACKABLE:
        return None


def done(parcel: Parcel, begin: Begin = lambda _: None) -> list[StagedRecord]:
    """Do the work of *parcel*; raises ClusterError where it was packed by other code than ours. *begin* is called before each step."""
    if parcel.code and parcel.code != code():
        raise ClusterError(other(code(), parcel.code))
    return _ready(parcel.task).work([_whole(*bare) for bare in pickle.loads(parcel.cases)], begin)


def other(theirs: str, ours: str) -> str:
    """Tell that two processes have not the same code."""
    cure = "install the same version there, with the same Python and the same packages"
    return f"a worker has other code ({theirs}) than this process ({ours}), and might say other things; {cure}"


def _bare(it: Case) -> tuple[Any, ...]:
    record, payload = it.record, it.record.payload
    what = (None, record.raw) if isinstance(payload, _Element) else (payload, b"")
    return (record.key, *what, record.modified, it.digest, it.before, it.at, it.stands)  # a tuple is packed twice as fast


def _whole(key: str, payload: Any, raw: bytes, modified: str | None, *rest: Any) -> Case:
    return Case(Record(key, _element(raw) if payload is None else payload, raw, modified), *rest)


def _element(raw: bytes) -> _Element:
    return etree.fromstring(raw, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True))


@lru_cache(maxsize=_TASKS)
def _ready(task: bytes) -> Craft:
    return prepared(pickle.loads(task))


@lru_cache(maxsize=1)
def code() -> str:
    """Give the digest of all that decides what becomes of a record: our code and data, Python, and the packages that we ask."""
    told = hashlib.sha256(f"{sys.version_info[:2]} {[(name, version(name)) for name in _ENGINES]}".encode())
    for room in _ROOMS:
        folder = Path(str(files(room)))
        for file in sorted(it for it in folder.rglob("*") if it.is_file() and "__pycache__" not in it.parts):
            told.update(f"{room}/{file.relative_to(folder)}\0".encode())
            told.update(file.read_bytes())
    return told.hexdigest()[:16]
