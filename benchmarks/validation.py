"""Validate with the fast SHACL engine and with pyshacl: the same descriptions in the same batches,
with the same results.

By hand: ``python -m benchmarks.validation --records 400``
"""

from __future__ import annotations

from typing import Annotated

import typer

from benchmarks.payloads import payloads, reader, records, statements
from benchmarks.result_table import Aim, Json, Line, pairs, show
from demo.scenario import Fault
from shapes.batch import BATCH_SIZE
from shapes.validate import validate_many

_FAULTS = (Fault.DATES, Fault.TITLES, Fault.COUNTRIES)
_TIMES = 3
# the fast engine does the same records so many times: once is too short to be measured well
_AGAIN = 10
_BEST = 200  # descriptions a batch at which pyshacl is quickest


def main(
    count: Annotated[
        int, typer.Option("--records", help="Descriptions to validate.", min=50)
    ] = 400,
    json: Json = False,
) -> None:
    """Validate generated descriptions, some of them faulty, with both engines in turn."""
    read = reader()
    described = [statements(read(record)) for record in records(payloads(count, _FAULTS))]
    fast, slow = validate_many(described), validate_many(described, name="reference")
    if fast != slow:
        raise SystemExit("the results of the engines differ: the benchmark compares nothing")
    note = f"results equal: {sum(map(len, fast)):,} results on {sum(map(bool, fast)):,} of {count:,} records"

    def ours() -> None:
        for _ in range(_AGAIN):
            validate_many(described)

    lines = []
    for size, aim in ((BATCH_SIZE, Aim("least", 60)), (_BEST, None)):
        pair = pairs(
            ours,
            lambda size=size: validate_many(described, name="reference", size=size),  # type: ignore[misc]
            _TIMES,
        )
        what = (
            f"batches of {BATCH_SIZE}, one thread each"
            if size == BATCH_SIZE
            else f"pyshacl in its best batches, of {size}"
        )
        lines.append(
            Line(
                what,
                "records/s",
                count * _AGAIN / pair.ours,
                count / pair.peer,
                pair.ratio * _AGAIN,
                aim,
                note,
            )
        )
        note = ""
    show("Validation, next to pyshacl", lines, json)


if __name__ == "__main__":
    typer.run(main)
