"""A small published world: the vocabulary, two registries, a few things, one tombstone, hostile
texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from journal.journal import Journal
from shapes.rules import Severity
from shapes.validate import Result, describe_results
from vocab.annotations import (
    Deletion,
    Match,
    cluster_iri,
    describe_cluster,
    describe_replaced,
    write_tombstone,
)
from vocab.describe import describe, quads
from vocab.initiative import (
    Amount,
    Basis,
    Claim,
    Contact,
    Document,
    Event,
    File,
    Initiative,
    Outcome,
    Party,
    Period,
    Place,
    Prize,
    Resource,
    Role,
    Text,
)
from vocab.iris import Iris
from vocab.provenance import (
    Provenance,
    Registry,
    RunStatistics,
    SourceStatus,
    describe_record,
    describe_run,
    describe_source,
    describe_source_statuses,
)
from vocab.schemes import statements

IRIS = Iris()
SEEN = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
CHANGED = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
RELEASED = datetime(2026, 4, 1, 6, 0, tzinfo=UTC)
KENYA = "http://metadata.un.org/sdg/codes/geoArea/404"
# These graphs of the vocabulary suffice for tests to which its size does not matter.
SMALL_SCHEMES = {"scheme/action-line", "scheme/coverage", "scheme/status", "labels"}
HOSTILE = '<script>alert("x")</script>'

RICH = Initiative(
    key="a/1",
    titles=(
        Text("Telemedicine for remote clinics", "en"),
        Text("Télémédecine pour les cliniques isolées", "fr"),
        Text("التطبيب عن بعد للعيادات النائية", "ar"),
    ),
    descriptions=(
        Text(
            "Forty clinics in the north get a link by satellite and a nurse who is trained to use it.\nA doctor in the capital sees "
            "the patient the same day; prescriptions travel as structured data.",
            "en",
        ),
        Text(
            "Quarante cliniques du nord reçoivent une liaison par satellite et une infirmière formée.",
            "fr",
        ),
    ),
    identifiers=("urn:example:1",),
    pages=("https://example.org/telemedicine",),
    languages=("en", "fr"),
    licences=("https://creativecommons.org/licenses/by/4.0/",),
    issued="2024-01-15",
    modified="2025-06-30T10:00:00Z",
    countries=(KENYA,),
    parties=(
        Party(
            Role.LEAD,
            Text("Ministry of Health", "en"),
            kind=IRIS.concept("stakeholder-type", "government"),
            country=KENYA,
        ),
        Party(Role.PARTNER, Text("Clinics United", "en"), page="https://example.org/clinics"),
        Party(Role.FUNDER, Text("Fund for Health", "en")),
    ),
    action_lines=(
        Claim(IRIS.concept("action-line", "C7-ehea")),
        Claim(IRIS.concept("action-line", "C2"), Basis.CROSSWALKED, "infrastructure"),
        Claim(IRIS.concept("action-line", "C4"), Basis.SUGGESTED, None, 0.81),
    ),
    goals=(
        Claim(
            "http://metadata.un.org/sdg/3",
            percentage=60,
            evidence=Text("It heals.", "en"),
            evidence_page="https://example.org/why",
        ),
        Claim("http://metadata.un.org/sdg/9", Basis.CROSSWALKED, "SDG9"),
    ),
    targets=(Claim("http://metadata.un.org/sdg/3.8"),),
    subjects=(Text("telehealth", "en"),),
    start="2024-02-01",
    end="2027-01-31",
    planned_end="2026-12-31",
    amounts=(
        Amount(1_250_000.5, "KES", Text("original budget", "en"), "2024-01-01", "2024-12-31"),
    ),
    outcomes=(
        Outcome((Text("Clinics connected", "en"),), (Text("Ten clinics.", "en"),), "output"),
    ),
    coverage=IRIS.concept("coverage", "national"),
    status=IRIS.concept("status", "ongoing"),
    activity_types=(IRIS.concept("activity-type", "project"),),
    places=(Place(Text("Marsabit", "en"), 2.3284, 37.9899),),
    prizes=(
        Prize(IRIS.concept("prize-category", "12"), IRIS.concept("prize-stage", "champion"), 2025),
    ),
)


def plain(number: int) -> Initiative:
    """Return one of many initiatives that are alike."""
    return Initiative(
        key=str(number),
        titles=(Text(f"Community network {number}", "en"),),
        descriptions=(Text("A village builds its own network.", "en"),),
        countries=(KENYA,),
        parties=(Party(Role.LEAD, Text("Ministry of Health", "en")),),
        action_lines=(Claim(IRIS.concept("action-line", f"C{1 + number % 6}")),),
        goals=(Claim(f"http://metadata.un.org/sdg/{1 + number % 17}"),),
        start="2023-01-01",
    )


THINGS: tuple[Resource, ...] = (
    RICH,
    Initiative(
        key="evil",
        titles=(Text(HOSTILE, "en"),),
        pages=("https://example.org/?a=1&b='x'",),
        subjects=(Text("javascript:alert(1)"),),
    ),
    Event(
        key="e1",
        titles=(Text("Forum on digital health", "en"),),
        start="2025-05-01",
        venue=Text("Geneva", "en"),
    ),
    Document(
        key="file.ttl",
        titles=(Text("Good practice report", "en"),),
        periods=(Period("1990", "1999"),),
        files=(
            File(
                "https://example.org/report",
                "https://example.org/report.pdf",
                (Text("As PDF", "en"),),
                "application/pdf",
            ),
            File(f"https://example.org/download/{'report' * 20}.csv"),
        ),
        contacts=(Contact((Text("Registry office", "en"),), "office@example.org"),),
        access_rights="Open to all",
        frequency="R/P1Y",
    ),
    *(plain(number) for number in range(120)),
)

REMARKS = (
    Result(
        "", IRIS.ns + "target", "MinCountConstraintComponent", Severity.WARNING, None, "No target is named.",
        IRIS.base + "shapes#NoTarget",
    ),
)  # fmt: skip


def provenance(source: str) -> Provenance:
    """Return the provenance of all records of the world."""
    return Provenance(source, "run-2", "fields", "ab" * 32, SEEN, CHANGED)


def record_rows(source: str, resource: Resource) -> list[str]:
    """Return the additions that publish *resource*."""
    remarks = REMARKS if resource is RICH else ()
    results = [
        *describe(resource, IRIS, source),
        *sorted(
            [
                *describe_record(resource.key, IRIS, provenance(source)),
                *describe_results(IRIS.record(source, resource.key), IRIS, remarks),
            ]
        ),
    ]
    return [f"A {quad}" for quad in quads(results, IRIS.record(source, resource.key))]


def _vocabulary(keep: Callable[[str, str], bool]) -> Iterator[str]:
    for graph, lines in statements(IRIS.base):
        path = graph.removeprefix(IRIS.base)
        chosen = (line for line in lines if keep(path, line))
        yield from (f"A {quad}" for quad in quads(chosen, graph))


def _registry(name: str) -> Registry:
    licence = "https://creativecommons.org/licenses/by/4.0/"
    return Registry(
        name,
        f"Registry of {name}",
        "ICT Authority",
        f"https://{name}.example/oai",
        licence,
        "oai_pmh",
        "oai_dc",
        "15 3 * * *",
    )


def _gone_rows(source: str, resource: Resource) -> Iterator[str]:
    before = [
        *describe(resource, IRIS, source),
        *describe_record(resource.key, IRIS, provenance(source)),
    ]
    after = write_tombstone(
        resource.key,
        source,
        Deletion("run-3", CHANGED, "its source says that it was deleted"),
        SEEN,
        before,
        IRIS,
    )
    graph = IRIS.record(source, resource.key)
    yield from (f"D {quad}" for quad in quads(sorted({*before} - {*after}), graph))
    yield from (f"A {quad}" for quad in quads(sorted({*after} - {*before}), graph))


def build(
    data: Path,
    things: Sequence[Resource] = THINGS,
    keep: Callable[[str, str], bool] = lambda graph, statement: True,
) -> None:
    """Write the journal and the status file of a world of *things* under *data*, with the
    statements of the vocabulary for which *keep* of their graph's path and the statement is true.
    """
    journal = Journal(data / "journal")
    journal.append(_vocabulary(keep), run="run-1", time=SEEN)
    run = RunStatistics(
        run="run-2",
        source="demo",
        started=SEEN,
        ended=CHANGED,
        state="committed",
        is_full=True,
        counts=dict.fromkeys(("reported", "fetched", "new"), len(things)),
    )
    rows = [row for item in things for row in record_rows("demo", item)]
    rows += [
        f"A {quad}" for quad in quads(describe_source(_registry("demo"), IRIS), IRIS.source("demo"))
    ]
    rows += [f"A {quad}" for quad in quads(describe_run(run, IRIS), IRIS.run("run-2"))]
    rows += record_rows("demo", Initiative(key="lost", titles=(Text("Lost project", "en"),)))
    journal.append(rows, run="run-2", time=CHANGED)
    journal.append(
        _gone_rows("demo", Initiative(key="lost", titles=(Text("Lost project", "en"),))),
        run="run-3",
        time=CHANGED,
    )
    result = describe_source_statuses(
        [SourceStatus("demo", CHANGED, CHANGED, "published", len(things), None)], IRIS
    )
    write_status(data, result)


def write_status(data: Path, content: Iterable[str]) -> None:
    (data / "status.nq").write_text("\n".join(quads(content, IRIS.status)) + "\n")


ONE, TWO = IRIS.thing("initiative", "demo", "1"), IRIS.thing("initiative", "atlas", "x/9")
BODIES = tuple(
    IRIS.thing("organization", "demo", name) for name in ("ministry-of-health", "clinics-united")
)
DISSOLVED = IRIS.thing("initiative", "demo", "3")
CLUSTER = "/cluster/initiative/demo/1"
LEAD = Party(Role.LEAD, Text("Office of the atlas", "en"), country=KENYA)
OTHER = Initiative(
    key="x/9",
    titles=(Text("A network of communities", "en"),),
    descriptions=(
        Text("A village of Marsabit builds its own network, with a mast on the school.", "en"),
    ),
    countries=(KENYA,),
    start="2022-05-01",
    parties=(LEAD,),
)

# These are a part of OTHER by its title, a part of an initiative by its IRI, two parts of a whole
# with a title that nothing has, and a part of an initiative elsewhere.
PARTS = tuple(
    Initiative(
        key=key,
        titles=(Text(f"Part {key}", "en"),),
        countries=(KENYA,),
        parties=(LEAD,),
        part_of=(whole,),
    )
    for key, whole in (
        ("p1", "A network of communities"),
        ("p2", IRIS.thing("initiative", "demo", "2")),
        ("p3", "A project that ended"),
        ("p4", "A project that ended"),
        ("p5", "https://elsewhere.example/projects/1"),
    )
)


def cluster_rows(
    members: tuple[str, ...], matches: tuple[Match, ...], sign: str = "A"
) -> list[str]:
    cluster = cluster_iri(members[0], IRIS)
    return [
        f"{sign} {quad}"
        for quad in quads(describe_cluster(cluster, members, matches, IRIS), cluster)
    ]


def add_clusters(data: Path) -> None:
    """Add a second registry and clusters to the journal of the world."""
    journal = Journal(data / "journal")
    decided = Match(
        "ab12", TWO, ONE, ("country", "name"), datetime(2026, 4, 1), "both name the <b>grant</b> 17"
    )
    gone = (DISSOLVED, IRIS.thing("initiative", "demo", "4"))
    rows = [row for each in (OTHER, *PARTS) for row in record_rows("atlas", each)]
    rows += [
        f"A {quad}"
        for quad in quads(describe_source(_registry("atlas"), IRIS), IRIS.source("atlas"))
    ]
    rows += cluster_rows((ONE, TWO), (decided,)) + cluster_rows(
        BODIES, (Match("cd34", BODIES[0], BODIES[1], ("acronym",)),)
    )
    rows += cluster_rows(gone, (Match("ef56", gone[0], gone[1], ("name",)),))
    lost = cluster_iri(IRIS.thing("initiative", "demo", "lost"), IRIS)
    rows += [
        f"A {quad}" for quad in quads(describe_replaced(lost, cluster_iri(ONE, IRIS), IRIS), lost)
    ]
    journal.append(rows, run="run-4", time=CHANGED + timedelta(days=1))
    dissolved = cluster_rows(gone, (Match("ef56", gone[0], gone[1], ("name",)),), "D")
    journal.append(dissolved, run="identity.clusters.2", time=CHANGED + timedelta(days=2))
