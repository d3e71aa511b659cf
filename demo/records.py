"""Serialize the records of a registry as it does (OAI-PMH with Dublin Core, CKAN packages, JSON
objects, CSV rows), once into a file, and serve slices of it.
"""

from __future__ import annotations

import csv
import io
import mmap
import tempfile
from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from uuid import UUID
from xml.sax.saxutils import escape

import orjson

from demo.generate import LANGUAGES, Project, generate_record
from demo.scenario import (
    Fault,
    RecordHistory,
    Registry,
    ScenarioState,
    format_time,
    record_histories,
    serialize_record,
)

OAI_ID = "oai:demo.example.org:"
_DC_HEAD = (
    '<metadata><oai_dc:dc xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://www.openarchives.org/OAI/2.0/oai_dc/'
    ' http://www.openarchives.org/OAI/2.0/oai_dc.xsd">'
)
_LICENCE_IDS = {"by": "cc-by", "zero": "cc-zero", "by-sa": "cc-by-sa"}


# Escape a text for XML content or an attribute in double quotes.
xml = partial(escape, entities={'"': "&quot;"})


def sets(project: Project) -> list[str]:
    """Return the OAI-PMH sets of a record: its action lines (the eight applications below C7), and
    its language.
    """
    return [f"line:{code.replace('-', ':')}" for code in project["lines"]] + [
        f"language:{project['language'][0]}"
    ]


def _header(key: str, history: RecordHistory, specs: list[str]) -> str:
    status = ' status="deleted"' if history.deleted else ""
    names = "".join(f"<setSpec>{spec}</setSpec>" for spec in specs)
    return f"<header{status}><identifier>{OAI_ID}{key}</identifier><datestamp>{format_time(history.modified)}</datestamp>{names}</header>"


def _dates(project: Project, history: RecordHistory) -> tuple[list[str], list[str]]:
    """Return the dates and the periods in Dublin Core; an invalid start date allows no period."""
    start, end = project["period"]["from"], project["period"]["to"]
    return (
        ([start], [])
        if Fault.DATES in history.faults
        else ([project["created"]], [f"{start}/{end}"])
    )


def _goals_and_targets(project: Project) -> list[str]:
    """Return goals and targets with a prefix, since bare numbers would be ambiguous as subjects."""
    goals = [f"SDG {text}" if text.isdecimal() else text for text in project["goals"]]
    return goals + [f"SDG target {text}" for text in project["targets"]]


def _dublin_core(project: Project, history: RecordHistory) -> str:
    dates, periods = _dates(project, history)
    parts = [
        f'<dc:title xml:lang="{tag}">{xml(text)}</dc:title>'
        for tag, text in project["title"].items()
    ]
    parts += [
        f'<dc:description xml:lang="{tag}">{xml(text)}</dc:description>'
        for tag, text in project["summary"].items()
    ]
    plain = (
        ("identifier", [project["id"], *project["links"]]),
        ("subject", [*project["action_lines"], *_goals_and_targets(project), *project["tags"]]),
        ("publisher", [project["lead"]["name"]]),
        ("contributor", [party["name"] for party in (*project["partners"], *project["funders"])]),
        ("date", dates),
        ("type", project["types"]),
        ("coverage", [*project["countries"], project["coverage"], *periods]),
        ("language", project["language"]),
        ("rights", [project["licence"]]),
    )
    parts += [f"<dc:{name}>{xml(text)}</dc:{name}>" for name, texts in plain for text in texts]
    return "".join(parts)


def oai(project: Project, history: RecordHistory) -> bytes:
    header = _header(project["id"], history, sets(project))
    body = (
        ""
        if history.deleted
        else f"{_DC_HEAD}{_dublin_core(project, history)}</oai_dc:dc></metadata>"
    )
    return f"<record>{header}{body}</record>\n".encode()


def _extras(project: Project) -> list[dict[str, str]]:
    place, lead = project["location"], project["lead"]
    point = {"type": "Point", "coordinates": [place["longitude"], place["latitude"]]}
    values = {
        "country": project["countries"][0],
        "countries": "; ".join(project["countries"]),
        "start_date": project["period"]["from"],
        "end_date": project["period"]["to"],
        "action_lines": "; ".join(project["action_lines"]),
        "sdg_goals": "; ".join(project["goals"]),
        "sdg_targets": "; ".join(project["targets"]),
        "status": project["status"],
        "coverage": project["coverage"],
        "activity_type": project["types"][0],
        "spatial": orjson.dumps(point).decode(),
        "lead_type": lead["type"],
        "lead_country": lead["country"],
        "partners": "; ".join(party["name"] for party in project["partners"]),
        "funders": "; ".join(party["name"] for party in project["funders"]),
    }
    return [{"key": key, "value": value} for key, value in values.items() if value]


def ckan(project: Project, history: RecordHistory) -> bytes:
    """Return a CKAN package as in package_show; fields that CKAN lacks are extras, as in most
    portals.
    """
    language, name = project["language"][0], project["id"].lower()
    licence = project["licence"]
    package = {
        "id": str(UUID(int=history.number + (1 << 100) | 4 << 76 | 8 << 60)),
        "name": name,
        "title": project["title"].get(language, ""),
        "title_translated": project["title"],
        "notes": project["summary"][language],
        "notes_translated": project["summary"],
        "type": "dataset",
        "state": "active",
        "private": False,
        "language": language,
        "url": project["links"][0],
        "license_id": _LICENCE_IDS[licence.split("/")[4]],
        "license_url": licence,
        "maintainer": project["contact"]["name"],
        "maintainer_email": project["contact"]["email"],
        "metadata_created": f"{project['created']}T00:00:00.000000",
        "metadata_modified": f"{project['updated'][:-1]}.000000",
        "organization": {
            "name": f"lead-{name}",
            "title": project["lead"]["name"],
            "type": "organization",
            "state": "active",
        },
        "tags": [{"name": tag, "display_name": tag, "state": "active"} for tag in project["tags"]],
        "groups": [
            {"name": code.lower(), "title": text}
            for code, text in zip(project["lines"], project["action_lines"], strict=True)
        ],
        "extras": _extras(project),
        "resources": [
            {"url": link, "name": "Web page", "format": "HTML"} for link in project["links"]
        ],
        "num_tags": len(project["tags"]),
        "num_resources": len(project["links"]),
    }
    return orjson.dumps(package) + b",\n"


def json(project: Project, history: RecordHistory) -> bytes:
    """Return a JSON object without the codes of action lines, which no registry publishes."""
    return (
        orjson.dumps({name: value for name, value in project.items() if name != "lines"}) + b",\n"
    )


COLUMNS = (
    "id", *(f"title_{tag}" for tag in LANGUAGES), *(f"description_{tag}" for tag in LANGUAGES), "start", "end", "created", "updated",
    "languages", "countries", "action_lines", "goals", "targets", "tags", "pages", "lead", "lead_type", "lead_country", "partners",
    "funders", "status", "coverage", "activity_types", "place", "latitude", "longitude", "licence", "contact_email",
)  # fmt: skip


def csv_line(cells: list[str]) -> bytes:
    """Return a CSV line (RFC 4180: CRLF, quotes where needed)."""
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue().encode()


def csv_row(project: Project, history: RecordHistory) -> bytes:
    """Return a CSV row in the order of COLUMNS; lists are joined by semicolons."""
    place, lead, period = project["location"], project["lead"], project["period"]
    lists = ("language", "countries", "action_lines", "goals", "targets", "tags", "links")
    return csv_line(
        [
            project["id"],
            *(project["title"].get(tag, "") for tag in LANGUAGES),
            *(project["summary"].get(tag, "") for tag in LANGUAGES),
            period["from"],
            period["to"],
            project["created"],
            project["updated"],
            *(";".join(project[name]) for name in lists),
            lead["name"],
            lead["type"],
            lead["country"],
            *(
                ";".join(party["name"] for party in project[name])
                for name in ("partners", "funders")
            ),
            project["status"],
            project["coverage"],
            ";".join(project["types"]),
            place["name"],
            str(place["latitude"]),
            str(place["longitude"]),
            project["licence"],
            project["contact"]["email"],
        ]
    )


SERIALIZERS: dict[str, Callable[[Project, RecordHistory], bytes]] = {
    "oai": oai,
    "ckan": ckan,
    "csv": csv_row,
}


_ALWAYS = 1 << 40  # seconds; later than any datestamp


class RecordIndex:
    """A registry in a state. *keys*, *modified* (seconds since 1970) and *sets* (OAI-PMH) are by
    position, not by number.

    The bytes are in an unnamed temporary file, so that a hundred thousand records use little
    memory.
    """

    def __init__(self, registry: Registry, state: ScenarioState) -> None:
        self.registry = registry
        self.state = state
        self.keys: list[str] = []
        self.modified = array("q")
        self.sets: list[tuple[str, ...]] = []
        self._ends = array("Q", [0])
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 closed by close()
        for fragment in self._fragments():
            self._ends.append(self._ends[-1] + len(fragment))
            self._file.write(fragment)
        self._file.flush()
        self._bytes = (
            mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) if self.keys else b""
        )
        self._selections: dict[tuple[int, int, str], Sequence[int]] = {}
        self.positions = {key: position for position, key in enumerate(self.keys)}

    def _fragments(self) -> Iterator[bytes]:
        serialize = SERIALIZERS.get(self.registry.name, json)
        is_oai = self.registry.name == "oai"  # only OAI-PMH lists deleted records and has sets
        for history in record_histories(self.registry, self.state):
            if history.deleted and not is_oai:
                continue
            project = (
                generate_record(self.registry.seed, history.number)
                if history.deleted
                else serialize_record(self.registry, history)
            )
            self.keys.append(project["id"])
            self.modified.append(history.modified)
            if is_oai:
                self.sets.append(tuple(sets(project)))
            yield serialize(project, history)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def newest(self) -> int:
        return max(self.modified, default=0)

    def read(self, position: int) -> bytes:
        return self._bytes[self._ends[position] : self._ends[position + 1]]

    def read_many(self, positions: Sequence[int]) -> bytes:
        """Return the bytes of several records, in one slice if they are adjacent."""
        if not positions:
            return b""
        if isinstance(positions, range) or all(b - a == 1 for a, b in pairwise(positions)):
            return self._bytes[self._ends[positions[0]] : self._ends[positions[-1] + 1]]
        return b"".join([self.read(position) for position in positions])

    def select(self, start: int = 0, until: int = _ALWAYS, set_spec: str = "") -> Sequence[int]:
        """Return the positions of records modified from *start* to *until* (seconds, inclusive), in
        the set *set_spec* or below it.
        """
        if start <= 0 and until >= _ALWAYS and not set_spec:
            return range(len(self))
        selection = (start, until, set_spec)
        if selection not in self._selections:
            self._selections[selection] = [
                position
                for position, when in enumerate(self.modified)
                if start <= when <= until and (not set_spec or self._in_set(position, set_spec))
            ]
        return self._selections[selection]

    def slice(self, positions: Sequence[int], first: int, size: int) -> Sequence[int]:
        """Return the *size* positions of the page that begins at *first*, with the faults that
        repeat records.
        """
        first = 0 if Fault.REPEAT in self.state.faults else first
        overlap = int(Fault.TWICE in self.state.faults and first > 0)
        return positions[first - overlap : first + size]

    def total(self, positions: Sequence[int], first: int) -> int:
        """Return the number of *positions*, or fewer from the second page on if the total shrinks."""
        count = len(positions)
        return count - count // 10 if Fault.SHRINK in self.state.faults and first else count

    def _in_set(self, position: int, set_spec: str) -> bool:
        return any(
            spec == set_spec or spec.startswith(f"{set_spec}:") for spec in self.sets[position]
        )

    def close(self) -> None:
        if isinstance(self._bytes, mmap.mmap):
            self._bytes.close()
        self._file.close()
