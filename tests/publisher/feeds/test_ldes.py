"""The event stream has pages that never change and a view of the latest versions, and every page
keeps the shapes of TREE.
"""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from mutating_source import FIRST, IRIS, plain, read_graphs
from pyoxigraph import DefaultGraph, NamedNode, Quad, RdfFormat, parse
from pyshacl import validate
from rdf_terms import value
from rdflib import Graph
from rows import each
from suites import folder

SHAPES = folder("tree-shacl")
TREE = "https://w3id.org/tree#"
LDES = "https://w3id.org/ldes#"
A = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
BELOW = "http://www.w3.org/2000/01/rdf-schema#subClassOf"
KINDS = {
    "TR3.1": ("/ldes",), "TR3.2": ("/ldes/time", "/ldes/latest"),
    "TR3.3": ("/ldes/time/2026-03", "/ldes/time/2026-03-28/1", "/ldes/time/2026-03-28/2", "/ldes/latest/265"),
}  # fmt: skip
NODES = [path for kind in ("TR3.2", "TR3.3") for path in KINDS[kind]]
NQUADS = {"Accept": "application/n-quads"}

Still = tuple[Path, httpx.Client]


def quads(still: Still, path: str) -> list[Quad]:
    answer = still[1].get(path, headers=NQUADS)
    assert answer.status_code == 200
    return list(parse(answer.content, RdfFormat.N_QUADS))


def default_graph(still: Still, path: str) -> str:
    """Return the triples of the default graph as N-Triples."""
    rows = [quad.triple for quad in quads(still, path) if quad.graph_name == DefaultGraph()]
    return "".join(f"{triple} .\n" for triple in rows)


def objects(read_quads: list[Quad], name: str) -> list[str]:
    return [value(quad.object) for quad in read_quads if quad.predicate.value == name]


def members(read_quads: list[Quad]) -> list[str]:
    return objects(read_quads, f"{TREE}member")


@pytest.mark.suite("tree-shacl")
@pytest.mark.parametrize("path", NODES)
def test_every_page_keeps_the_shapes_of_tree(still: Still, path: str) -> None:
    if not SHAPES.exists():
        pytest.skip("no shapes of TREE beside the work tree")
    # The shapes of one kind of page contradict those of the others.
    other = [kind for kind, paths in KINDS.items() if path not in paths]
    data = Graph().parse(data=default_graph(still, path), format="nt")
    # The vocabulary that the shapes import states this of both kinds.
    for kind in ("GreaterThanOrEqualToRelation", "LessThanRelation"):
        data.parse(data=f"<{TREE}{kind}> <{BELOW}> <{TREE}Relation> .", format="nt")

    files = [
        file for file in sorted(SHAPES.glob("TR*.ttl")) if not file.name.startswith(tuple(other))
    ]
    results = {
        file.stem: validate(data, shacl_graph=shapes(file), allow_infos=True) for file in files
    }

    assert {name: text for name, (conforms, _, text) in results.items() if not conforms} == {}
    assert len(results) > 15


def shapes(file: Path) -> Graph:
    out = Graph()
    for item in (SHAPES / "tree-common.ttl", file):
        out.parse(item)
    return out


def test_every_member_keeps_the_shape_that_the_stream_states(still: Still) -> None:
    target, shape = "<http://www.w3.org/ns/shacl#targetNode>", f"{still[1].base_url}/ldes/shape"
    rows = members(quads(still, "/ldes/latest"))
    data = Graph().parse(data=default_graph(still, "/ldes/latest"), format="nt")
    shapes = Graph().parse(data=default_graph(still, "/ldes/shape"), format="nt")
    targets = "".join(f"<{shape}> {target} <{member}> .\n" for member in rows)
    shapes.parse(data=targets, format="nt")

    conforms, _, text = validate(data, shacl_graph=shapes)

    assert conforms, text
    assert len(rows) == 250


@each(
    "path, immutable",
    [
        ("/ldes/time", False),
        ("/ldes/time/2026-03", True),
        ("/ldes/time/2026-04", False),
        ("/ldes/time/2026-03-28/1", True),  # The page is full.
        ("/ldes/time/2026-03-28/2", True),  # A later day has begun.
        ("/ldes/time/2026-04-28/1", False),
        ("/ldes/latest", False),
        ("/ldes/version/4/demo/i%2F7", True),
    ],
)
def test_what_can_never_change_says_so_and_what_grows_does_not(
    still: Still, path: str, immutable: bool
) -> None:
    answer = still[1].get(path, headers=NQUADS)

    assert ("immutable" in answer.headers["cache-control"]) == immutable
    assert (
        still[1].get(path, headers={**NQUADS, "If-None-Match": answer.headers["etag"]}).status_code
        == 304
    )


def test_a_page_holds_what_the_records_held_then_though_they_have_changed(still: Still) -> None:
    then = read_graphs(still[0], upto=1)

    result = quads(still, "/ldes/time/2026-03-28/1")

    for number in (0, 39, 100):
        record = f"{IRIS.base}record/demo/i%2F{number}"
        version = NamedNode(f"{IRIS.base}ldes/version/1/demo/i%2F{number}")
        assert (
            plain(str(quad.triple) for quad in result if quad.graph_name == version) == then[record]
        )


def test_pages_are_cut_by_day_and_lead_to_the_next_and_a_deletion_holds_the_tombstone(
    still: Still,
) -> None:
    first, second = quads(still, "/ldes/time/2026-03-28/1"), quads(still, "/ldes/time/2026-03-28/2")

    assert (len(members(first)), len(members(second))) == (250, 10)
    assert objects(first, f"{TREE}node") == [f"{still[1].base_url}/ldes/time/2026-03-28/2"] * 2
    assert objects(second, f"{TREE}node") == []
    assert {
        value(quad.object) for quad in first if quad.predicate.value.endswith("generatedAtTime")
    } == {f"{FIRST:%Y-%m-%dT%H:%M:%SZ}"}

    result = quads(still, "/ldes/version/4/demo/i%2F100")

    assert "https://www.w3.org/ns/activitystreams#Delete" in objects(result, A)
    assert f"{IRIS.operations}gone" in objects(result, "http://www.w3.org/ns/adms#status")


def test_the_latest_view_has_one_version_of_each_record_and_the_tombstones(still: Still) -> None:
    first = quads(still, "/ldes/latest")
    second = quads(
        still, objects(first, f"{TREE}node")[0].removeprefix(str(still[1].base_url).rstrip("/"))
    )

    versions = objects(first + second, "http://purl.org/dc/terms/isVersionOf")
    assert sorted(versions) == sorted(read_graphs(still[0]))
    assert objects(first + second, A).count("https://www.w3.org/ns/activitystreams#Delete") == 16
    assert objects(first, f"{LDES}versionAmount") == ["1"]


def test_each_form_says_the_same_and_another_is_refused(still: Still) -> None:
    formats = {"trig": RdfFormat.TRIG, "nq": RdfFormat.N_QUADS, "jsonld": RdfFormat.JSON_LD}
    path = "/ldes/time/2026-03-28/2"
    expected = {str(quad) for quad in quads(still, path)}

    for form, kind in formats.items():
        answer = still[1].get(f"{path}?format={form}")
        assert {str(item) for item in parse(answer.content, kind)} == expected, form
    refused = still[1].get("/ldes", headers={"Accept": "text/html"})
    assert (refused.status_code, "application/trig" in refused.text) == (406, True)
