"""What a record costs at each stage, measured once on this machine and kept, and what so many would
cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import orjson

KEPT = Path(__file__).parent / "costs.json"


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds and bytes a record, as `python -m benchmarks.costs` measures them with so many
    *records*.

    *read* is the harvest's own processor time until a record is staged (asking, archive, parsing,
    ledger), *work* that of the processes that map, serialize and validate it; *plan* and *commit*
    (the journal's entry, the ledger's settlement) follow; *same* is to read one that is as it was,
    *entry* what a commit takes whatever it brings. *loaded* is to put a record in the store by a
    bulk load, *beside* to bring tables and text index level, *shelved* to do all of that for one
    record that changed; *dumped* and *released* is to write the files. The sizes are bytes on the
    disk.
    """

    records: int
    read: float
    work: float
    plan: float
    commit: float
    same: float
    entry: float
    loaded: float
    beside: float
    shelved: float
    dumped: float
    released: float
    archive: float
    journal: float
    ledger: float
    store: float
    tables: float
    text: float
    dumps: float
    releases: float

    @property
    def new(self) -> float:
        """Return the processor seconds until a new record is staged."""
        return self.read + self.work

    @property
    def first(self) -> float:
        """Return the seconds that the store's one writer takes for a record that is loaded in bulk."""
        return self.loaded + self.beside

    @property
    def sizes(self) -> Mapping[str, float]:
        """Return the bytes a record by what they lie in."""
        names = ("archive", "journal", "ledger", "store", "tables", "text", "dumps", "releases")
        return {name: getattr(self, name) for name in names}


def keep(costs: Costs, file: Path = KEPT) -> None:
    """Write costs to be taken from now on."""
    rounded = {
        name: value if name == "records" else float(f"{value:.3g}")
        for name, value in asdict(costs).items()
    }
    file.write_bytes(orjson.dumps(rounded, option=orjson.OPT_INDENT_2) + b"\n")


def load_costs(file: Path = KEPT) -> Costs:
    """Return the costs that were measured last."""
    costs = orjson.loads(file.read_bytes())
    return Costs(**{field.name: costs[field.name] for field in fields(Costs)})


def predicted(costs: Costs, records: int) -> Mapping[str, float]:
    """Return the seconds that each stage takes for so many records in a row, on two cores: one
    reads while the other maps and validates.
    """
    return {
        "collect": records * max(costs.read, costs.work),
        "plan": records * costs.plan,
        "commit": costs.entry + records * costs.commit,
        "store: loaded and shown": records * costs.loaded,
        "tables and text index": records * costs.beside,
        "dump": records * costs.dumped,
        "release": records * costs.released,
        "again, all read": records * costs.same,
    }
